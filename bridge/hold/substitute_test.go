package hold

import (
	"bytes"
	"strings"
	"testing"
)

func TestSubstitute(t *testing.T) {
	vars := map[string]string{"user": "jane", "a)b": "odd", "": "none", "long": strings.Repeat("x", 40)}
	for body, want := range map[string]string{
		"":                         "",
		"nothing":                  "nothing",
		"to %(user)s: %(user)s!":   "to jane: jane!",
		"100%%":                    "100%",
		`%(a\)b)s`:                 "odd",
		"%()s":                     "none",
		"%(long)s%(user)s123456":   strings.Repeat("x", 40) + "jane123456",
		"%(long)s%(user)s1234567":  "!the message is longer than 50",
		"%(long)s%(long)s%(gone)s": "!the message is longer than 50",
		"%(gone)s":                 `!there is no variable "gone"`,
		"%s":                       `!"%s": want`,
		"5 %":                      `!"%": want`,
		"%(user)":                  `!"%(user)": want s`,
		"%(user)d":                 `!"%(user)": want s`,
		"%(user":                   `!"%(user" does not end`,
		`%(user\`:                  `!"%(user\\" does not end`,
	} {
		got, err := Substitute([]byte(body), vars, 50)
		if problem, fails := strings.CutPrefix(want, "!"); fails {
			if err == nil || !strings.HasPrefix(err.Error(), problem) {
				t.Errorf("%s: %q, %v, want %s", body, got, err, problem)
			}
		} else if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", body, got, err, want)
		}
	}
}

func FuzzSubstitute(f *testing.F) {
	f.Add([]byte(`a %(b)s %% %(c\)d)s`), "b", "c")
	f.Fuzz(func(t *testing.T, body []byte, name, value string) {
		got, err := Substitute(body, map[string]string{name: value}, 100)
		if err == nil && bytes.IndexByte(body, '%') >= 0 && len(got) > 100 {
			t.Errorf("%d bytes", len(got))
		}
	})
}

// A message is rendered for each client that wants it, and those for whom it cannot be do without.
func TestVariables(t *testing.T) {
	r := New(Limits{Holds: 9, Client: 9, Channel: 9, Channels: 2, Message: 100, Backlog: 1000, Recovers: 1})
	defer r.Close()
	hold := func(m Mode, f Filter, vars map[string]string) *Hold {
		h, err := r.Site().Hold(&Instruct{Mode: m, Vars: vars, Subscriptions: []Subscription{{Channel: "a", Filter: f}}}, Who{}, nobody{})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	waiting := map[string]*Hold{
		"hello ann 5%":          hold(Stream, VarSubst, map[string]string{"name": "ann"}),
		"hello bob 5%":          hold(Response, VarSubst, map[string]string{"name": "bob"}),
		"":                      hold(Stream, VarSubst, nil),
		"hello %(name)s 5%%":    hold(Stream, 0, map[string]string{"name": "cid"}),
		"hello %(name)s 5%% - ": hold(Response, 0, nil),
	}
	m := &Message{Body: []byte("hello %(name)s 5%%")}
	r.Publish(&Item{Channel: "a", ID: "1", Response: m, Stream: m})
	only := &Message{Body: []byte("for %(name)s"), Filtered: true, Content: VarSubst}
	r.Publish(&Item{Channel: "a", ID: "2", PrevID: "1", Stream: only})
	as := &Message{Body: []byte("as it is: %(name)s"), Filtered: true}
	r.Publish(&Item{Channel: "a", ID: "3", PrevID: "2", Stream: as})
	for want, h := range waiting {
		var got []string
		for {
			m, end := h.Take()
			if m == nil {
				if end != None && end != Answered {
					t.Errorf("%s: %v", want, end)
				}
				break
			}
			got = append(got, string(m.Body))
		}
		all := []string{strings.TrimSuffix(want, " - ")}
		switch want {
		case "hello ann 5%":
			all = append(all, "for ann")
		case "":
			all = nil
		case "hello %(name)s 5%%":
			all = append(all, "as it is: %(name)s")
		}
		if strings.Join(got, "|") != strings.Join(all, "|") {
			t.Errorf("%q: %q, want %q", want, got, all)
		}
		h.Leave()
	}
	if n := r.Snapshot().Unfit; n != 2 { // both messages, of one client
		t.Errorf("%d were unfit", n)
	}
}
