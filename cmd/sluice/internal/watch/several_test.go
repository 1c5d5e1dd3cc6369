package watch

import (
	"bytes"
	"strings"
	"testing"
)

// several is the state with a configuration file: of the applications, the blog is down.
func several() *State {
	wiki, blog := busy(), busy()
	wiki.Name, blog.Name = "wiki", "blog"
	blog.Pool.Instances[0].State, blog.Pool.Instances[0].LastError = "down", "connection refused"
	blog.Findings = []Finding{{Level: "alarm", Text: "The application cannot be connected to.", Fault: true}}
	all := &State{Applications: []State{*wiki, *blog}}
	all.Front = wiki.Front
	for i := range all.Applications {
		all.Applications[i].Front = Front{}
	}
	return all
}

// Several applications are shown one at a time, and judged together.
func TestSeveralApplications(t *testing.T) {
	p := &page{addr: "127.0.0.1:9180", now: noon, keys: true}
	p.take(answer{several(), noon, nil})
	text := strings.Join(p.lines(100, 24), "\n")
	for _, want := range []string{"wiki (1 of 2)", "healthy", "connections 40/1000", "n next application"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	p.press("n")
	p.take(answer{several(), noon, nil})
	if text = strings.Join(p.lines(100, 24), "\n"); !strings.Contains(text, "blog (2 of 2)") || !strings.Contains(text, "degraded") || p.before == nil {
		t.Error(text)
	}
	p.take(answer{&State{Applications: several().Applications[:1]}, noon, nil})
	if text = strings.Join(p.lines(100, 24), "\n"); !strings.Contains(text, "  wiki  ") || p.before != nil {
		t.Errorf("after one is gone:\n%s", text)
	}
	p.take(answer{&State{Applications: []State{}}, noon, nil})
	_ = p.lines(100, 24)

	if got := several().matter(); len(got) != 1 || got[0].Text != "blog: The application cannot be connected to." || !several().Degraded() {
		t.Errorf("%+v", got)
	}
	if got := several().NotReady(); got != "blog: unix:/run/app.sock is down connection refused" {
		t.Errorf("%q", got)
	}
	draining := several()
	draining.Front.Findings = []Finding{{Level: "notice", Text: "Sluice is draining.", Fault: true}}
	if got := draining.matter(); len(got) != 2 || got[1].Text != "Sluice is draining." {
		t.Errorf("%+v", got)
	}

	var out bytes.Buffer
	if err := Once(&out, NewSource("unix:/s", "unix", "/s"), several(), 100, false); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); !strings.Contains(text, "wiki (1 of 2)") || !strings.Contains(text, "\n\nsluice unix:/s  blog (2 of 2)") {
		t.Error(text)
	}
}
