//go:build linux

package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// startDemo runs sluice demo and returns its address, which is what it says first.
func startDemo(t *testing.T) string {
	t.Helper()
	p := start(t, exec.Command(sluiceBinary(), "demo"))
	var address string
	eventually(t, "sluice demo says where its page is", func() error {
		m := regexp.MustCompile(`^(http://127\.0\.0\.1:\d+/) has the page`).FindStringSubmatch(p.output.String())
		if m == nil {
			return errors.New(p.output.String())
		}
		address = m[1]
		return nil
	})
	return address
}

// demoSide is what an event says of a side.
type demoSide struct {
	Name     string  `json:"name"`
	Answered float64 `json:"answered"`
	Short    int     `json:"short"`
	Poll     int     `json:"poll"`
	Session  int     `json:"session"`
	Parked   int     `json:"parked"`
	Stalled  bool    `json:"stalled"`
	Starts   int     `json:"starts"`
	Memory   int     `json:"memory"`
	Failed   int     `json:"total_failed"`
}

// look returns the gate's side and the queue's, as the next event has them.
func lookAtDemo(t *testing.T, s site) (gate, queue demoSide) {
	t.Helper()
	res := s.open(t, t.Context(), "/events")
	defer res.Body.Close()
	var event struct{ Sides [2]demoSide }
	line := make([]byte, 0, 4096)
	for b := make([]byte, 1); len(line) == 0 || line[len(line)-1] != '\n'; line = append(line, b[0]) {
		if _, err := res.Body.Read(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := json.Unmarshal(line[len("data: "):], &event); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	return event.Sides[0], event.Sides[1]
}

// becomes waits until both sides are as they should be.
func becomes(t *testing.T, s site, what string, ok func(gate, queue demoSide) bool) {
	t.Helper()
	eventually(t, what, func() error {
		if gate, queue := lookAtDemo(t, s); !ok(gate, queue) {
			return fmt.Errorf("%+v, %+v", gate, queue)
		}
		return nil
	})
}

// Every control of the demonstration's page, in a browser.
func TestDemoPage(t *testing.T) {
	t.Parallel()
	address := startDemo(t)
	s := newSite(t, strings.TrimSuffix(address, "/"))
	b := startBrowser(t)
	b.look(t, 1280, 900, "light")
	b.open(t, address)
	b.awaitText(t, "#connection", "Live")
	b.awaitText(t, "#gate [data-say]", "Pages are answered at once.")
	b.awaitText(t, "#queue [data-say]", "threads hold requests that wait")
	becomes(t, s, "the gate parks what waits", func(gate, queue demoSide) bool { return gate.Parked > 0 && gate.Failed == 0 && queue.Poll == 16 })
	b.picture(t, "demo-1280-light")
	wantAccessible(t, b)
	b.look(t, 360, 800, "dark")
	b.picture(t, "demo-360-dark")
	if wide := value[int](t, b, "document.documentElement.scrollWidth"); wide > 360 {
		t.Errorf("the page is %d pixels wide", wide)
	}
	b.look(t, 1280, 900, "dark")
	wantAccessible(t, b)

	turn(t, b, "polls", 0)
	becomes(t, s, "long-polls end", func(gate, queue demoSide) bool { return gate.Poll == 0 && queue.Poll == 0 && queue.Answered > 20 })
	b.awaitText(t, "#queue [data-say]", "Pages are answered at once.")
	turn(t, b, "rate", 10)
	becomes(t, s, "fewer pages", func(gate, queue demoSide) bool { return gate.Answered < 20 && queue.Answered < 20 })
	turn(t, b, "sessions", 30)
	becomes(t, s, "a locked session holds all threads but not the gate's", func(gate, queue demoSide) bool {
		return queue.Session == 16 && gate.Session > 0 && gate.Session < 8 && gate.Answered > 5
	})
	b.awaitText(t, "#queue [data-say]", "wait for one session's lock")
	b.picture(t, "demo-1280-session-dark")
	turn(t, b, "sessions", 0)
	turn(t, b, "rate", 60)

	gateWas, queueWas := lookAtDemo(t, s)
	b.click(t, "#crash")
	b.awaitText(t, "#told", "crashed")
	becomes(t, s, "both are started again", func(gate, queue demoSide) bool {
		return gate.Starts > gateWas.Starts && queue.Starts > queueWas.Starts && gate.Answered > 20 && queue.Answered > 20
	})
	b.click(t, "#stall")
	b.awaitText(t, "#told", "do nothing")
	becomes(t, s, "the gate notices the stall", func(gate, _ demoSide) bool { return gate.Stalled })
	b.awaitText(t, "#gate [data-say]", "Sluice has noticed")
	becomes(t, s, "both answer again", func(gate, queue demoSide) bool { return gate.Answered > 20 && queue.Answered > 20 })

	gateWas, queueWas = lookAtDemo(t, s)
	act(t, b, chromedp.Focus(chromedp.CSS("#leak")))
	act(t, b, chromedp.KeyEvent(" ")) // by keyboard
	b.awaitText(t, "#told", "leaks half a megabyte")
	becomes(t, s, "both have had to be started again", func(gate, queue demoSide) bool {
		return gate.Starts > gateWas.Starts && queue.Starts > queueWas.Starts && gate.Memory > 0
	})
	if gate, queue := lookAtDemo(t, s); gate.Failed != gateWas.Failed {
		t.Errorf("a leak has cost the gate's visitors %d answers, the queue's %d", gate.Failed-gateWas.Failed, queue.Failed-queueWas.Failed)
	}
	if pressed := value[string](t, b, "document.getElementById('leak').getAttribute('aria-pressed')"); pressed != "true" {
		t.Errorf("aria-pressed is %q", pressed)
	}
	b.click(t, "#leak")
	b.awaitText(t, "#told", "No more memory")
	b.mustNotComplain(t)
}

// turn moves a knob.
func turn(t *testing.T, b *browser, knob string, to int) {
	t.Helper()
	value[bool](t, b, fmt.Sprintf("(() => { const k = document.getElementById(%q); k.value = %d; k.dispatchEvent(new Event('input', {bubbles: true})); return true; })()", knob, to))
	b.awaitText(t, "output[for="+knob+"]", fmt.Sprint(to))
}

// Other origins and other hosts change nothing, and see nothing.
func TestDemoGuards(t *testing.T) {
	address := startDemo(t)
	s := newSite(t, strings.TrimSuffix(address, "/"))
	const stall = `{"do":"stall"}`
	for name, tc := range map[string]struct {
		method, path, body string
		set                func(*http.Request)
		status             int
	}{
		"page":          {"GET", "/", "", func(*http.Request) {}, 200},
		"rebound":       {"GET", "/", "", func(r *http.Request) { r.Host = "evil.example" }, 421},
		"events":        {"GET", "/events", "", func(r *http.Request) { r.Host = "evil.example" }, 421},
		"origin":        {"POST", "/control", stall, func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }, 403},
		"site":          {"POST", "/control", stall, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		"form":          {"POST", "/control", stall, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 415},
		"unknown":       {"POST", "/control", `{"do":"dance"}`, func(*http.Request) {}, 400},
		"unknown field": {"POST", "/control", `{"dance":1}`, func(*http.Request) {}, 400},
		"too much":      {"POST", "/control", `{"settings":{"polls":100000,"rate":1}}`, func(*http.Request) {}, 400},
		"large":         {"POST", "/control", `{"do":"` + strings.Repeat("x", 10_000) + `"}`, func(*http.Request) {}, 400},
		"own":           {"POST", "/control", `{}`, func(r *http.Request) { r.Header.Set("Origin", strings.TrimSuffix(address, "/")) }, 204},
	} {
		var body io.Reader
		if tc.body != "" {
			body = strings.NewReader(tc.body)
		}
		r := s.request(t, tc.method, tc.path, body)
		if tc.body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		tc.set(r)
		res, text := s.do(t, r)
		if res.StatusCode != tc.status {
			t.Errorf("%s: %s, want %d: %s", name, res.Status, tc.status, text)
		}
		if tc.status == 200 && (!strings.Contains(res.Header.Get("Content-Security-Policy"), "default-src 'none'") || strings.Contains(text, "<style") || strings.Contains(text, "style=")) {
			t.Errorf("%s: %v\n%s", name, res.Header, text)
		}
	}
}
