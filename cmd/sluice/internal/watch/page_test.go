package watch

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// busy is a gate with 16 workers, most of which long-polls hold.
func busy() *State {
	s := &State{
		Abandoned: 1,
		Findings:  []Finding{{Level: "ok", Text: "All is well. 13 of 16 workers are busy."}},
		Gate: Gate{
			Workers: 16, Capacity: 15, InUse: 13, Waiting: 14, Long: 11, LongCap: 12, Reserve: 4, ShortRate: 57.8, ShortMean: 21,
			Lanes: map[string]Lane{
				"short":   {InFlight: 2, Waiting: 2, Started: 100, Refused: map[string]uint64{"full": 1}},
				"unknown": {InFlight: 1},
				"mixed":   {InFlight: 1, Aged: 1},
				"long":    {InFlight: 8, Aged: 2, Waiting: 12, Started: 50},
			},
		},
		Pool: Pool{Instances: []Instance{{Addr: "unix:/run/app.sock", State: "up", Workers: 16, Limit: 16, Busy: 13, Idle: 2, AcceptQueue: &AcceptQueue{1, 128}}}},
	}
	s.Front.Connections = Connections{40, 1000}
	for i := range 13 {
		s.Requests = append(s.Requests, Request{Route: fmt.Sprintf("GET any /poll%d", i), Lane: "long", Client: "0a1b2c3d", Instance: "unix:/run/app.sock", Age: float64(20 - i)})
	}
	s.Gate.Routes = []Route{{Route: "GET any /poll", Lane: "long", InFlight: 8, Long: 64, Work: 500}, {Route: "GET any /", Lane: "short", InFlight: 2, Short: 64, Work: 60}}
	s.Gate.Clients = []Client{{Key: "0a1b2c3d", InFlight: 8, Waiting: 2, Work: 300}}
	return s
}

func TestWorkerCells(t *testing.T) {
	letters := func(s *State) string {
		var b strings.Builder
		for _, c := range s.workerCells() {
			b.WriteByte(c.letter)
		}
		return b.String()
	}
	// 3 aged and 6 more long ones, 1 unknown, 2 short ones, 1 in no lane; 15 of 16 are there.
	if got, want := letters(busy()), "LLLLLLLLLUSS?__x"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	shared := busy()
	shared.Pool.Instances[0].Limit = 14
	if got, want := letters(shared), "LLLLLLLLLUSS?_-x"; got != want {
		t.Errorf("beside others: %s, want %s", got, want)
	}
}

// A page is as large as the terminal, whatever its size.
func TestPageFits(t *testing.T) {
	many := busy()
	many.Gate.Workers, many.Gate.Capacity = 5000, 5000
	troubled := busy()
	for _, level := range levels {
		troubled.Findings = append(troubled.Findings, Finding{Level: level, Text: strings.Repeat("no space left on device ", 20)})
	}
	for name, s := range map[string]*State{"busy": busy(), "many": many, "troubled": troubled, "empty": new(State), "none": nil} {
		for _, size := range [][2]int{{80, 24}, {40, 10}, {200, 60}, {1, 1}, {20, 3}, {80, 1}} {
			p := &page{addr: "127.0.0.1:9180", state: s, at: noon, now: noon, keys: true}
			lines := p.lines(size[0], size[1])
			if len(lines) != size[1] {
				t.Errorf("%s at %v: %d lines", name, size, len(lines))
			}
			for _, l := range lines {
				if cells(l) > size[0] && size[0] > 20 {
					t.Errorf("%s at %v: %q is %d wide", name, size, l, cells(l))
				}
			}
		}
	}
}

// At 80 x 24 everything that matters is there.
func TestPageAt80(t *testing.T) {
	p := &page{addr: "127.0.0.1:9180", state: busy(), at: noon, now: noon, keys: true}
	text := strings.Join(p.lines(80, 24), "\n")
	for _, want := range []string{
		"healthy", "All is well.", "workers LLLLLLLLLUSS?__x", "busy 13/15  long 11/12  queue 2  parked 12  abandoned 1  connections 40/1000",
		"1 requests 13", "20 s  long", "GET any /poll0", "2 routes 2", "8 m 20 s", "3 clients 1", "0a1b2c3d", "4 instances 1", "unix:/run/app.sock", "1/128", "q quit",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "\x1b") {
		t.Errorf("escapes without colour:\n%q", text)
	}
}

// No figure is cut, where it would be another one.
func TestFiguresAreWhole(t *testing.T) {
	s := busy()
	s.Gate.Workers, s.Gate.Capacity = 600, 600
	s.Front.Connections = Connections{1750, 120_400}
	s.Hold = &Hold{9000, 20_000}
	s.Pool.Instances[0].Limit = 10
	s.Fleet = &Fleet{2}
	p := &page{addr: "127.0.0.1:9180", state: s, at: noon, now: noon, keys: true}
	text := strings.Join(p.lines(80, 24), "\n")
	for _, want := range []string{"connections 1750/120400", "held 9000/20000", "leased 10/600", "gates 2", "x not there", "- elsewhere", "4 instances 1"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// Text of the status cannot act on the terminal.
func TestHostileText(t *testing.T) {
	const bad = "\x1b]0;owned\x07\x1b[2J\r\n\u202eabc\u009b1m\x00\xff"
	s := busy()
	s.Requests[0] = Request{Route: bad, Lane: bad, Client: bad, Instance: bad}
	s.Gate.Routes[0].Route, s.Gate.Clients[0].Key = bad, bad
	s.Pool.Instances[0] = Instance{Addr: bad, State: "down", LastError: bad}
	s.Findings = []Finding{{Level: bad, Text: bad}}
	for _, err := range []error{nil, errors.New(bad)} {
		p := &page{addr: bad, state: s, at: noon, now: noon, err: err}
		for _, l := range p.lines(300, 0) {
			if strings.ContainsAny(l, "\x1b\x07\r\n\x00\u202e\u009b") || !utf8.ValidString(l) {
				t.Errorf("%q", l)
			}
		}
	}
}

func TestClip(t *testing.T) {
	for _, c := range []struct {
		in   string
		n    int
		want string
	}{
		{"abc", 2, "ab"}, {"日本", 3, "日"}, {"e\u0301x", 2, "e\u0301x"}, {"a\tb", 9, "a?b"}, {"", 3, ""}, {"abc", 0, ""},
	} {
		if got := clip(c.in, c.n); got != c.want {
			t.Errorf("clip(%q, %d) = %q, want %q", c.in, c.n, got, c.want)
		}
	}
}

// Numbers are sorted by their value, downwards; words upwards.
func TestSort(t *testing.T) {
	p := &page{state: busy()}
	first := func() string { return strings.Join(strings.Fields(p.tables(100, 30, false)[1]), " ") }
	if got := first(); !strings.HasPrefix(got, "20 s long") {
		t.Errorf("by age: %s", got)
	}
	p.press("r")
	if got := first(); !strings.HasPrefix(got, "8.0 s long") {
		t.Errorf("by age, reversed: %s", got)
	}
	for range 4 {
		p.press("s")
	}
	p.press("r")
	if got := first(); !strings.HasSuffix(got, "/poll0") {
		t.Errorf("by route: %s", got)
	}
}

func TestKeys(t *testing.T) {
	p := &page{state: busy()}
	for _, c := range []struct {
		keys string
		want page
	}{
		{"\t", page{focus: 1}},
		{"\x1b[Z", page{focus: 0}},
		{"4", page{focus: 3}},
		{"1jjj\x1b[Bk", page{scroll: 3}},
		{"p", page{scroll: 3, paused: true}},
		{" 1", page{}},
		{strings.Repeat("j", 100), page{scroll: 12}},
	} {
		for _, k := range splitKeys(c.keys) {
			if p.press(k) {
				t.Fatalf("%q ends the page", k)
			}
		}
		if p.focus != c.want.focus || p.scroll != c.want.scroll || p.paused != c.want.paused {
			t.Errorf("%q: focus %d, scroll %d, paused %v", c.keys, p.focus, p.scroll, p.paused)
		}
	}
	for _, k := range []string{"q", "\x03", "\x04"} {
		if !p.press(k) {
			t.Errorf("%q does not end the page", k)
		}
	}
}

func TestSplitKeys(t *testing.T) {
	got := splitKeys("a\x1b[A\x1bOBq\x1b[1;5Cz\x1b")
	if want := []string{"a", "\x1b[A", "\x1bOB", "q", "\x1b[1;5C", "z", "\x1b"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// Notices and warnings are shown; what is broken decides.
func TestMatter(t *testing.T) {
	s := busy()
	s.Front.Findings = []Finding{{Level: "warning", Text: "A certificate expires."}}
	s.Findings = []Finding{{Level: "notice", Text: "Long requests hold workers."}}
	p := &page{state: s, at: noon, now: noon}
	text := strings.Join(p.lines(80, 24), "\n")
	if !strings.Contains(text, "healthy\nA certificate expires.\nLong requests hold workers.\n") || s.Degraded() {
		t.Errorf("degraded %v:\n%s", s.Degraded(), text)
	}
	for i := range 4 {
		s.Findings = append(s.Findings, Finding{Level: "alarm", Text: fmt.Sprintf("It is broken %d.", i), Fault: true})
	}
	text = strings.Join(p.lines(80, 24), "\n")
	if !strings.Contains(text, "degraded\nIt is broken 0.\nIt is broken 1.\nIt is broken 2.\nAnd 3 more") || !s.Degraded() {
		t.Errorf("degraded %v:\n%s", s.Degraded(), text)
	}
}

func TestReady(t *testing.T) {
	const up = `"pool":{"instances":[{"addr":"a","state":"up"}]}`
	for _, c := range []struct{ json, notReady string }{
		{`{` + up + `}`, ""},
		{`{"pool":{"instances":[{"addr":"a","state":"unknown"}]}}`, ""},
		{`{"pool":{"instances":[]}}`, "no instance"},
		{`{"pool":{"instances":[{"addr":"a","state":"down","last_error":"refused"}]}}`, "a is down refused"},
		{`{"pool":{"instances":[{"addr":"a","state":"down"},{"addr":"b","state":"up"}]}}`, ""},
		{`{"front":{"draining":true},` + up + `}`, "ending"},
		{`{"processes":{"breaker":"open","instances":[{"state":"broken"}]},` + up + `}`, "keeps ending"},
		{`{"processes":{"breaker":"closed","instances":[{"state":"starting"}]},` + up + `}`, "no process"},
		{`{"processes":{"breaker":"closed","instances":[{"state":"asleep"}]},` + up + `}`, ""},
	} {
		s := new(State)
		if err := json.Unmarshal([]byte(c.json), s); err != nil {
			t.Fatal(err)
		}
		if got := s.NotReady(); (got == "") != (c.notReady == "") || !strings.Contains(got, c.notReady) {
			t.Errorf("%s: not ready %q, want %q", c.json, got, c.notReady)
		}
	}
}

// What cannot be reached is said beside the last state, and the rates survive a restart.
func TestTake(t *testing.T) {
	p := &page{addr: "x"}
	p.take(answer{state: busy(), at: noon})
	more := busy()
	more.Gate.Lanes["short"] = Lane{Started: 120}
	p.take(answer{state: more, at: noon.Add(2 * time.Second)})
	if text := strings.Join(p.lines(80, 24), "\n"); !strings.Contains(text, "started 10/s") {
		t.Errorf("no rate:\n%s", text)
	}
	p.take(answer{state: new(State), at: noon.Add(4 * time.Second)})
	p.take(answer{err: errors.New("connection refused"), at: noon.Add(9 * time.Second)})
	text := strings.Join(p.lines(80, 24), "\n")
	for _, want := range []string{"unreachable", "Last seen 5.0 s ago: connection refused", "started 0/s"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
