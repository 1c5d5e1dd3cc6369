package grip

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/hold"
)

// fields makes a header of "Name: value" lines.
func fields(lines ...string) http.Header {
	h := make(http.Header)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	return h
}

func subscriptions(list ...hold.Subscription) []hold.Subscription { return list }

// What the libraries and the documentation of GRIP write.
func TestParse(t *testing.T) {
	keep := KeepAlive{Every: defaultKeepAlive}
	for name, c := range map[string]struct {
		header http.Header
		body   string
		want   Instruct
	}{
		"a long-poll": {
			fields("Grip-Hold: response", "Grip-Channel: mychannel", "Grip-Timeout: 60"), "",
			Instruct{Hold: true, Wait: hold.Instruct{Subscriptions: subscriptions(hold.Subscription{Channel: "mychannel"})}, Timeout: time.Minute, Keep: keep},
		},
		"by js-grip": {
			fields("Grip-Hold: stream", "Grip-Channel: one; prev-id=4, two", "Grip-Keep-Alive: :\\n\\n; format=cstring; timeout=20", "Grip-Set-Meta: user=\"a, \\\"b\\\"\""), "",
			Instruct{
				Hold: true, Timeout: DefaultTimeout, Keep: KeepAlive{Data: []byte(":\n\n"), Every: 20 * time.Second},
				Wait: hold.Instruct{Mode: hold.Stream, User: `a, "b"`, Vars: map[string]string{"user": `a, "b"`}, Subscriptions: subscriptions(hold.Subscription{Channel: "one", PrevID: "4"}, hold.Subscription{Channel: "two"})},
			},
		},
		"several lines, filters and links": {
			fields("Grip-Hold: stream", "Grip-Channel: one; filter=skip-self; filter=skip-users", "Grip-Channel: two; filter=require-sub",
				"Grip-Keep-Alive: Cg==; format=base64; mode=interval; timeout=5", `Grip-Link: </next?a=1,2;3>; rel="next"; timeout=30, </gone?id=1>; rel=gone`, "Grip-Status: 201"), "",
			Instruct{
				Hold: true, Timeout: DefaultTimeout, Status: 201, Keep: KeepAlive{Data: []byte("\n"), Every: 5 * time.Second, Interval: true},
				Next: Link{"/next?a=1,2;3", 30 * time.Second}, Gone: "/gone?id=1",
				Wait: hold.Instruct{Mode: hold.Stream, Subscriptions: subscriptions(hold.Subscription{Channel: "one", Filter: hold.SkipSelf | hold.SkipUsers}, hold.Subscription{Channel: "two", Filter: hold.RequireSub})},
			},
		},
		"variables": {
			fields("Grip-Hold: response", "Grip-Channel: one; filter=var-subst", "Grip-Set-Meta: name=Ann, town=\"B, C\""), "",
			Instruct{
				Hold: true, Timeout: DefaultTimeout, Keep: keep,
				Wait: hold.Instruct{Vars: map[string]string{"name": "Ann", "town": "B, C"}, Subscriptions: subscriptions(hold.Subscription{Channel: "one", Filter: hold.VarSubst})},
			},
		},
		"a page of a stream": {
			fields("Grip-Link: </next>; rel=next"), "",
			Instruct{Timeout: DefaultTimeout, Keep: keep, Next: Link{"/next", DefaultLinkTimeout}, Wait: hold.Instruct{Mode: hold.Stream}},
		},
		"JSON": {
			fields("Content-Type: application/grip-instruct; charset=utf-8"),
			`{"hold": {"mode": "stream", "channels": [{"name": "a", "prev-id": "7", "filters": ["skip-self"]}], "timeout": 9, "keep-alive": {"content": "x", "timeout": 3, "mode": "interval"}, "meta": {"user": "u"}},
			  "response": {"code": 203, "headers": [["X-A", "1"], ["x-a", "2"], ["Content-Length", "9"]], "body-bin": "AQI="}}`,
			Instruct{
				Hold: true, HasAnswer: true, Timeout: 9 * time.Second, Status: 203, Keep: KeepAlive{Data: []byte("x"), Every: 3 * time.Second, Interval: true},
				Fields: [][2]string{{"X-A", "1"}, {"X-A", "2"}}, Body: []byte{1, 2},
				Wait: hold.Instruct{Mode: hold.Stream, User: "u", Vars: map[string]string{"user": "u"}, Subscriptions: subscriptions(hold.Subscription{Channel: "a", PrevID: "7", Filter: hold.SkipSelf})},
			},
		},
	} {
		if !Instructs(c.header) {
			t.Errorf("%s: says nothing", name)
		}
		if got, err := Parse(c.header, []byte(c.body), 4); err != nil || !reflect.DeepEqual(*got, c.want) {
			t.Errorf("%s: %v\n%+v, want\n%+v", name, err, got, c.want)
		}
	}
}

func TestMistakes(t *testing.T) {
	hold := "Grip-Hold: response"
	for want, c := range map[string]struct {
		header http.Header
		body   string
	}{
		"Grip-Hold: is \"later\"":                            {fields("Grip-Hold: later", "Grip-Channel: a"), ""},
		"Grip-Hold without a Grip-Channel":                   {fields(hold), ""},
		"Grip-Channel: 3 channels":                           {fields(hold, "Grip-Channel: a, b, c"), ""},
		"Grip-Channel: \"a\" is named twice":                 {fields(hold, "Grip-Channel: a", "Grip-Channel: a; prev-id=3"), ""},
		"Grip-Channel: filter \"loud\"":                      {fields(hold, "Grip-Channel: a; filter=loud"), ""},
		"Grip-Channel: \"size=3\"":                           {fields(hold, "Grip-Channel: a; size=3"), ""},
		"Grip-Channel: the name":                             {fields(hold, "Grip-Channel: ; prev-id=3"), ""},
		"Grip-Timeout: \"soon\"":                             {fields(hold, "Grip-Channel: a", "Grip-Timeout: soon"), ""},
		"Grip-Timeout: is 0s":                                {fields(hold, "Grip-Channel: a", "Grip-Timeout: 0"), ""},
		"Grip-Status: is 99":                                 {fields(hold, "Grip-Channel: a", "Grip-Status: 99"), ""},
		"Grip-Keep-Alive: format \"yaml\"":                   {fields(hold, "Grip-Channel: a", "Grip-Keep-Alive: x; format=yaml"), ""},
		"Grip-Keep-Alive: \"a\\\\q\" has the":                {fields(hold, "Grip-Channel: a", `Grip-Keep-Alive: a\q; format=cstring`), ""},
		"Grip-Keep-Alive: timeout is 0s":                     {fields(hold, "Grip-Channel: a", "Grip-Keep-Alive: x; timeout=0"), ""},
		"Grip-Link: \"<http://other/>; rel=next\"":           {fields(hold, "Grip-Channel: a", "Grip-Link: <http://other/>; rel=next"), ""},
		"Grip-Link: rel is \"prev\"":                         {fields(hold, "Grip-Channel: a", "Grip-Link: </a>; rel=prev"), ""},
		"Grip-Link: timeout means nothing":                   {fields(hold, "Grip-Channel: a", "Grip-Link: </a>; rel=gone; timeout=3"), ""},
		"Grip-Link: \"<a>; rel=gone\"":                       {fields(hold, "Grip-Channel: a", "Grip-Link: <a>; rel=gone"), ""},
		"application/grip-instruct: invalid":                 {fields("Content-Type: application/grip-instruct"), "hold on"},
		"application/grip-instruct: hold.mode":               {fields("Content-Type: application/grip-instruct"), `{"hold": {}}`},
		"application/grip-instruct: hold.channels: the id":   {fields("Content-Type: application/grip-instruct"), `{"hold": {"mode": "stream", "channels": [{"name": "a", "prev-id": "1\n"}]}}`},
		"application/grip-instruct: hold.channels: the name": {fields("Content-Type: application/grip-instruct"), `{"hold": {"mode": "stream", "channels": [{"name": "a\u0000"}]}}`},
		"Grip-Timeout: is 2562047h":                          {fields("Content-Type: application/grip-instruct"), `{"hold": {"mode": "response", "channels": [{"name": "a"}], "timeout": 18446744075}}`},
		"application/grip-instruct: response: head":          {fields("Content-Type: application/grip-instruct"), `{"response": {"headers": {"X": "a\nb"}}}`},
	} {
		if _, err := Parse(c.header, []byte(c.body), 2); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v: %v, want %s", c.header, err, want)
		}
	}
}

func TestStrip(t *testing.T) {
	h := fields("Grip-Hold: response", "Grip-Channel: a", "Grip-Expose-Headers: grip-channel, X-Other", "X-Other: 1")
	if Strip(h); len(h) != 2 || h.Get("Grip-Channel") != "a" || h.Get("X-Other") != "1" {
		t.Errorf("%v", h)
	}
}

// Whatever an application says: it is understood as far as can be held, or refused.
func FuzzParse(f *testing.F) {
	f.Add("a; prev-id=\"x\\\"y\", b;filter=skip-self", `</a?b="c">;rel=next`, ":\\n\\n; format=cstring", "")
	f.Add("a", "", "AA==;format=base64", `{"hold": {"mode": "response", "channels": [{"name": "a"}]}, "response": {"headers": {"a": "b"}, "body": "c"}}`)
	f.Fuzz(func(t *testing.T, channel, link, keep, body string) {
		h := http.Header{"Grip-Hold": {"stream"}, "Grip-Channel": {channel}, "Grip-Link": {link}, "Grip-Keep-Alive": {keep}}
		if body != "" {
			h = http.Header{"Content-Type": {instructType}}
		}
		in, err := Parse(h, []byte(body), 4)
		if err != nil {
			return
		}
		seen := make(map[string]bool)
		for _, s := range in.Wait.Subscriptions {
			if s.Channel == "" || len(s.Channel) > maxName || seen[s.Channel] {
				t.Errorf("subscribed to %q", s.Channel)
			}
			seen[s.Channel] = true
		}
		if len(seen) > 4 || in.Hold && len(seen) == 0 || in.Next.Target != "" && in.Next.Target[0] != '/' {
			t.Errorf("%+v", in)
		}
		for _, field := range in.Fields {
			if !isToken(field[0]) || strings.ContainsAny(field[1], "\r\n\x00") || http.CanonicalHeaderKey(field[0]) != field[0] {
				t.Errorf("field %q", field)
			}
		}
	})
}
