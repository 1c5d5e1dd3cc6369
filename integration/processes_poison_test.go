//go:build linux

package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A request that kills every process it meets is found out after three deaths, however
// many innocent ones are in flight at each.
func TestPoison(t *testing.T) {
	for name, tc := range map[string]struct {
		flags []string
		then  int // status of the poison once it is found out
	}{
		"reported":    {nil, http.StatusBadGateway},
		"quarantined": {[]string{"--command-quarantine", "1h"}, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startProcesses(t, account{}, troubled(t, "--threads", "8"), append(tc.flags, "--workers", "8")...)
			g.app.untilServed(t)
			const innocents = 3
			l := newLoad(t, g.url)
			l.callers(t, innocents, func(int, int) question {
				nonce := l.nonce(http.MethodGet)
				return question{method: http.MethodGet, nonce: nonce, route: "/token?ms=50&t=" + nonce, answer: []byte(nonce)}
			}, func() { g.poison(t, l, tc.then) })
			l.wantFewCut(t, innocents*g.deaths(t))
		})
	}
}

// poison sends the poison beside a load.
func (g processGate) poison(t *testing.T, l *load, then int) {
	for range 3 {
		l.awaitAnswers(t, 6)
		before := g.app.pidOf(t, "/pid")
		g.refused(t, http.MethodPost, "/poison?with=arsenic", http.StatusBadGateway)
		if after := g.app.pidOf(t, "/pid"); after == before {
			t.Fatalf("process %d has survived", before)
		}
	}
	g.logs(t, "a route was in flight whenever the command ended")
	var found suspectTold
	eventually(t, "the status names the suspect", func() error {
		p, text := g.told(t)
		for _, s := range p.Suspects {
			if strings.Contains(s.Route, "/poison") && s.Deaths == 3 && s.Answered == 0 {
				found = s
				return nil
			}
		}
		return fmt.Errorf("it tells\n%s", text)
	})
	quarantined := then == http.StatusServiceUnavailable
	if found.RefusedUntil.After(time.Now()) != quarantined {
		t.Errorf("%s is refused until %v", found.Route, found.RefusedUntil)
	}
	l.awaitAnswers(t, 6)
	before := g.app.pidOf(t, "/pid")
	g.refused(t, http.MethodPost, "/poison?with=ricin", then)
	if after := g.app.pidOf(t, "/pid"); (after == before) != quarantined {
		t.Errorf("afterwards process %d serves, before it was %d", after, before)
	}
	l.awaitAnswers(t, 6)
}

// A poison that is a GET kills two at most: it is sent once more, no oftener.
func TestPoisonIsNotSpread(t *testing.T) {
	t.Parallel()
	g := startProcesses(t, account{}, troubled(t), "--keep-alive", "on") // the first one is sent on a kept connection
	g.app.untilServed(t)
	g.refused(t, http.MethodGet, "/poison", http.StatusBadGateway)
	g.app.untilServed(t)
	sent := func() int { return strings.Count(g.output.String(), `line="poisoned by GET"`) }
	eventually(t, "the log has what both have written", func() error { // which is not waited for
		if n := sent(); n < 2 {
			return fmt.Errorf("it was sent %d times", n)
		}
		return nil
	})
	if n := sent(); n != 2 {
		t.Errorf("it was sent %d times, want 2:\n%s", n, g.output)
	}
}
