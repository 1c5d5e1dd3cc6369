//go:build linux

package integration

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// startDemo runs sluice demo and returns its address, which is what it says first.
func startDemo(t *testing.T, args ...string) (address string, p *process) {
	t.Helper()
	cmd := exec.Command(sluiceBinary(), append([]string{"demo"}, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+socketDir(t))
	p = start(t, cmd)
	eventually(t, "sluice demo says where its page is", func() error {
		m := regexp.MustCompile(`^(http://127\.0\.0\.1:\d+/) has the page`).FindStringSubmatch(p.output.String())
		if m == nil {
			return errors.New(p.output.String())
		}
		address = m[1]
		return nil
	})
	return address, p
}

// demoEvent is what the demonstration's page is told.
type demoEvent struct {
	Sides       [2]demoSide
	Settings    struct{ Rate, Polls int }
	Application struct {
		Starts     int `json:"starts"`
		Most       int `json:"most"` // connections at once
		TurnedAway int `json:"turned_away"`
	}
	News []struct {
		Who  string `json:"who"`
		Text string `json:"text"`
	}
}

// demoSide is what an event says of a side.
type demoSide struct {
	Name     string  `json:"name"`
	Asked    float64 `json:"asked"`
	Answered float64 `json:"answered"`
	Up       bool    `json:"up"`
	Status   string  `json:"status"`
	Leased   int     `json:"leased"`
	Short    int     `json:"short"`
	Poll     int     `json:"poll"`
	Session  int     `json:"session"`
	Parked   int     `json:"parked"`
	Stalled  bool    `json:"stalled"`
	Starts   int     `json:"starts"`
	Memory   int     `json:"memory"`
	Failed   int     `json:"total_failed"`
}

// lookAtDemo returns the last event.
func lookAtDemo(t *testing.T, s site) demoEvent {
	t.Helper()
	return demoEvents(t, s, 1)
}

// newDemoEvent returns an event that has come since it was called.
func newDemoEvent(t *testing.T, s site) demoEvent {
	t.Helper()
	return demoEvents(t, s, 2)
}

// demoEvents reads so many events, of which the first is the last one that there is, and returns the last of them.
func demoEvents(t *testing.T, s site, n int) (event demoEvent) {
	t.Helper()
	res := s.open(t, t.Context(), "/events")
	defer res.Body.Close()
	in := bufio.NewReader(res.Body)
	for range n {
		line, err := in.ReadBytes('\n')
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(line[len("data: "):], &event); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if _, err := in.ReadBytes('\n'); err != nil { // the empty line at its end
			t.Fatal(err)
		}
	}
	return event
}

// becomes waits until both sides are as they should be.
func becomes(t *testing.T, s site, what string, ok func(first, second demoSide) bool) {
	t.Helper()
	eventually(t, what, func() error {
		if e := lookAtDemo(t, s); !ok(e.Sides[0], e.Sides[1]) {
			return fmt.Errorf("%+v", e)
		}
		return nil
	})
}

// Every control of the demonstration's page, in a browser.
func TestDemoPage(t *testing.T) {
	t.Parallel()
	address, _ := startDemo(t)
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

	b.click(t, "#pause")
	b.awaitText(t, "#connection", "Paused")
	before := value[string](t, b, `document.querySelector("main").innerHTML`)
	time.Sleep(1500 * time.Millisecond) // three events, if they were shown
	if value[string](t, b, `document.querySelector("main").innerHTML`) != before {
		t.Error("a paused page has changed")
	}
	b.click(t, "#pause")
	b.awaitText(t, "#connection", "Live")

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

	was := lookAtDemo(t, s).Sides
	b.click(t, "#crash")
	b.awaitText(t, "#told", "crashed")
	becomes(t, s, "both are started again", func(gate, queue demoSide) bool {
		return gate.Starts > was[0].Starts && queue.Starts > was[1].Starts && gate.Answered > 20 && queue.Answered > 20
	})
	b.click(t, "#stall")
	b.awaitText(t, "#told", "do nothing")
	becomes(t, s, "the gate notices the stall", func(gate, _ demoSide) bool { return gate.Stalled })
	b.awaitText(t, "#gate [data-say]", "Sluice has noticed")
	becomes(t, s, "both answer again", func(gate, queue demoSide) bool { return gate.Answered > 20 && queue.Answered > 20 })

	was = lookAtDemo(t, s).Sides
	act(t, b, chromedp.Focus(chromedp.CSS("#leak")))
	act(t, b, chromedp.KeyEvent(" ")) // by keyboard
	b.awaitText(t, "#told", "leaks half a megabyte")
	becomes(t, s, "both have had to be started again", func(gate, queue demoSide) bool {
		return gate.Starts > was[0].Starts && queue.Starts > was[1].Starts && gate.Memory > 0
	})
	if now := lookAtDemo(t, s).Sides; now[0].Failed != was[0].Failed {
		t.Errorf("a leak has cost the gate's visitors %d answers, the queue's %d", now[0].Failed-was[0].Failed, now[1].Failed-was[1].Failed)
	}
	if pressed := value[string](t, b, "document.getElementById('leak').getAttribute('aria-pressed')"); pressed != "true" {
		t.Errorf("aria-pressed is %q", pressed)
	}
	b.click(t, "#leak")
	b.awaitText(t, "#told", "No more memory")
	b.mustNotComplain(t)
}

// Controls that are used one soon after the other are in force in that order, also if the first is on its way for
// long; and the page goes on showing what its user has set.
func TestDemoControlsInOrder(t *testing.T) {
	t.Parallel()
	address, _ := startDemo(t)
	s := newSite(t, strings.TrimSuffix(address, "/"))
	b := startBrowser(t)
	b.open(t, address)
	b.awaitText(t, "#connection", "Live")
	value[bool](t, b, `(() => {
		const real = window.fetch;
		let sent = 0;
		window.answered = 0;
		window.fetch = async (...what) => {
			if (sent++ === 0) await new Promise((resolve) => setTimeout(resolve, 3000));
			const answer = await real(...what);
			window.answered++;
			return answer;
		};
		return true;
	})()`)
	turn(t, b, "rate", 10)
	turn(t, b, "polls", 7)
	eventually(t, "both are answered", func() error {
		if n := value[int](t, b, "window.answered"); n < 2 {
			return fmt.Errorf("%d are", n)
		}
		return nil
	})
	for knob, want := range map[string]string{"rate": "10", "polls": "7"} {
		if got := value[string](t, b, fmt.Sprintf("document.querySelector('output[for=%s]').textContent", knob)); got != want {
			t.Errorf("%s: the page shows %s, want %s", knob, got, want)
		}
	}
	if now := newDemoEvent(t, s).Settings; now.Rate != 10 || now.Polls != 7 {
		t.Errorf("the settings are %+v", now)
	}
	b.mustNotComplain(t)
}

// Every control of the demonstration of a fleet. The application never sees a connection too many.
func TestDemoFleet(t *testing.T) {
	t.Parallel()
	address, _ := startDemo(t, "--fleet")
	s := newSite(t, strings.TrimSuffix(address, "/"))
	wantRoom := func(when string) {
		t.Helper()
		if app := lookAtDemo(t, s).Application; app.Most > 16 || app.TurnedAway > 0 {
			t.Errorf("%s: 16 threads, and %d connections at once, %d turned away", when, app.Most, app.TurnedAway)
		}
	}
	b := startBrowser(t)
	serves := func(side demoSide) bool {
		return side.Up && side.Status == "leased" && side.Answered > side.Asked/2 && side.Asked > 0
	}
	bothServe := func(a, b demoSide) bool { return serves(a) && serves(b) }
	toggle := func(selector, pressed string) {
		t.Helper()
		b.click(t, selector)
		eventually(t, selector+" is pressed: "+pressed, func() error {
			if is := value[string](t, b, fmt.Sprintf("document.querySelector(%q).getAttribute('aria-pressed')", selector)); is != pressed {
				return errors.New(is)
			}
			return nil
		})
	}
	b.look(t, 1400, 900, "light")
	b.open(t, address)
	b.awaitText(t, "#connection", "Live")
	becomes(t, s, "both gates have leases and park what waits", func(a, b demoSide) bool { return bothServe(a, b) && a.Leased == 8 && b.Leased == 8 && a.Parked > 0 })
	b.awaitText(t, "#a [data-say]", "It has leased 8 workers. Pages are answered at once.")
	b.picture(t, "demo-fleet-1400-light")
	wantAccessible(t, b)
	b.look(t, 360, 800, "dark")
	b.picture(t, "demo-fleet-360-dark")
	if wide := value[int](t, b, "document.documentElement.scrollWidth"); wide > 360 {
		t.Errorf("the page is %d pixels wide", wide)
	}
	b.look(t, 1400, 900, "dark")
	wantAccessible(t, b)

	turn(t, b, "balance", 85)
	becomes(t, s, "the lease follows the load", func(a, b demoSide) bool { return a.Leased >= 10 && b.Leased <= 6 && bothServe(a, b) })
	wantRoom("more load at one gate")
	b.look(t, 1280, 900, "light")
	b.picture(t, "demo-fleet-1280-light")
	b.look(t, 1400, 900, "dark")

	const end = "[data-toggle=ended][data-gate='0']"
	toggle(end, "true")
	b.awaitText(t, "#a [data-say]", "It has ended.")
	becomes(t, s, "clients of a gate that has ended ask the other one", func(a, b demoSide) bool { return !a.Up && serves(b) && b.Asked > 30 })
	wantRoom("a gate has ended")
	b.picture(t, "demo-fleet-1400-ended-dark")
	toggle(end, "false")
	turn(t, b, "balance", 50)
	becomes(t, s, "a gate that is started again has a lease", bothServe)
	becomes(t, s, "the gates are equal again", func(a, b demoSide) bool { return bothServe(a, b) && a.Leased == 8 && b.Leased == 8 })
	wantRoom("a gate was started again")

	const engine = "[data-toggle=stopped]"
	toggle(engine, "true")
	becomes(t, s, "without the engine, each gate has its share", func(a, b demoSide) bool {
		return a.Status == "alone" && b.Status == "alone" && a.Leased == 8 && b.Leased == 8 && a.Answered > 10 && b.Answered > 10
	})
	b.awaitText(t, "#a [data-say]", "It does not reach the engine")
	b.look(t, 1400, 900, "light")
	b.picture(t, "demo-fleet-1400-alone-light")
	toggle(engine, "false")
	becomes(t, s, "the engine leases again", bothServe)
	b.awaitText(t, "#news", "knows nothing")
	wantRoom("the engine was started anew")

	const cut = "[data-toggle=cut][data-gate='1']"
	toggle(cut, "true")
	becomes(t, s, "a gate that is cut off has its share", func(a, b demoSide) bool { return serves(a) && b.Status == "alone" && b.Leased == 8 && b.Answered > 10 })
	wantRoom("a gate is cut off")
	toggle(cut, "false")
	becomes(t, s, "it has a lease again", bothServe)

	turn(t, b, "sessions", 30)
	becomes(t, s, "a locked session leaves room for pages", func(a, b demoSide) bool { return bothServe(a, b) })
	wantRoom("a locked session")
	turn(t, b, "sessions", 0)
	b.click(t, "#stall")
	becomes(t, s, "the gates notice the stall", func(a, b demoSide) bool { return a.Stalled && b.Stalled })
	becomes(t, s, "all goes on after the stall", bothServe)
	wantRoom("a stall")
	starts := lookAtDemo(t, s).Application.Starts
	b.click(t, "#crash")
	eventually(t, "the application is started again", func() error {
		if e := lookAtDemo(t, s); e.Application.Starts != starts+1 || !bothServe(e.Sides[0], e.Sides[1]) {
			return fmt.Errorf("%+v", e)
		}
		return nil
	})
	b.awaitText(t, "#news", "Application: It has ended (exit status 3), and is started again.")
	wantRoom("a crash")
	b.mustNotComplain(t)
}

// A gate that somebody kills is shown as one that has ended; and what sluice demo has started ends with it.
func TestDemoFleetKilled(t *testing.T) {
	t.Parallel()
	address, p := startDemo(t, "--fleet")
	s := newSite(t, strings.TrimSuffix(address, "/"))
	becomes(t, s, "both gates have leases", func(a, b demoSide) bool { return a.Status == "leased" && b.Status == "leased" })
	before := children(t, p.Process.Pid)
	if len(before) != 3 {
		t.Fatalf("processes %v, want the application and two gates", before)
	}
	for _, pid := range before {
		if strings.Contains(commandOf(pid), "--gate") {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	becomes(t, s, "one has ended", func(a, b demoSide) bool { return a.Up != b.Up && a.Asked+b.Asked > 30 })
	if news := fmt.Sprint(lookAtDemo(t, s).News); !strings.Contains(news, "It has ended (signal: killed)") {
		t.Errorf("the news is %s", news)
	}
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what it has started ends", func() error {
		for _, pid := range before {
			if command := commandOf(pid); strings.Contains(command, "demo") {
				return fmt.Errorf("%d is left: %s", pid, command)
			}
		}
		return nil
	})
}

// commandOf is the command line of a process, "" if there is none.
func commandOf(pid int) string {
	text, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	return strings.ReplaceAll(string(text), "\x00", " ")
}

// turn moves a knob.
func turn(t *testing.T, b *browser, knob string, to int) {
	t.Helper()
	value[bool](t, b, fmt.Sprintf("(() => { const k = document.getElementById(%q); k.value = %d; k.dispatchEvent(new Event('input', {bubbles: true})); return true; })()", knob, to))
	b.awaitText(t, "output[for="+knob+"]", fmt.Sprint(to))
}

// Other origins and other hosts change nothing, and see nothing.
func TestDemoGuards(t *testing.T) {
	address, _ := startDemo(t)
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
		"no fleet":      {"POST", "/control", `{"settings":{"polls":1,"rate":1,"fleet":{}}}`, func(*http.Request) {}, 400},
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
