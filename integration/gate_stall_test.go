//go:build linux

package integration

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The whole application stops for 5 s, now and then. Nobody hangs: whoever waits in
// the gate is answered within its timeout. What was in the application stays there,
// and that is at most what it holds and one probe. A second after it goes on, all is
// as before. The log tells of each stop, once when it is found and once when it is
// over.
func TestStopsAreSurvived(t *testing.T) {
	t.Parallel() // so few requests do not disturb each other
	h := halting{workers: 16, between: 4 * time.Second}
	stops := 1
	if soaking() {
		stops, h.between = 6, 25*time.Second
	}
	be, _ := startThreaded(t, h.workers)
	h.gate = startLanes(t, lanesOn, be)
	h.pages = newCrowd(t, h.gate.url)

	var clients sync.WaitGroup
	clients.Go(func() {
		length := h.between + time.Duration(stops)*(stopLength+h.between)
		h.pages.come(t.Context(), 40, length, func(i int, dice *rand.Rand) errand {
			return page("/page", session("trac_session", i%50), pageTime, dice)
		})
	})
	pause(t, h.between)
	for range stops {
		h.halts = append(h.halts, h.halt(t, be))
	}
	clients.Wait()

	h.pages.figures().wantNoneFailed(t, "pages")
	for i := range h.halts {
		h.check(t, i)
	}
	h.gate.awaitIdle(t)
}

// stopLength is how long the application is stopped.
const stopLength = 5 * time.Second

// halting is an application that stops, and the clients who see it.
type halting struct {
	workers int
	between time.Duration // stops
	gate    laneGate
	pages   *crowd
	halts   []halt
}

// halt is one stop.
type halt struct {
	begun, ended time.Time
	log          string // from its begin until the next
}

// halt stops the application, and returns before it is stopped again.
func (h *halting) halt(t *testing.T, be backend) halt {
	t.Helper()
	mark := h.gate.output.size()
	one := halt{begun: time.Now()}
	signalAll(t, be, syscall.SIGSTOP)
	pause(t, stopLength)
	one.ended = time.Now()
	signalAll(t, be, syscall.SIGCONT)
	pause(t, h.between)
	one.log = h.gate.output.since(mark)
	return one
}

func signalAll(t testing.TB, be backend, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(-be.process.Process.Pid, sig); err != nil {
		t.Fatal(err)
	}
}

// check holds what clients saw of a stop against what is promised.
func (h *halting) check(t *testing.T, i int) {
	const wait, tick = 3 * time.Second, 50 * time.Millisecond // the gate's defaults
	one := h.halts[i]
	inside, refused, spike := 0, 0, 0
	for _, v := range h.during(one) {
		switch long := v.took > wait+tick+jitter; {
		case long && v.status == http.StatusOK && v.due.Before(one.ended):
			inside++
		case long:
			t.Errorf("stop %d: %v; it came %v after its begin", i, v, v.due.Sub(one.begun))
		}
		if v.status == http.StatusOK {
			continue
		}
		refused++
		if v.due.After(one.ended) {
			spike++
		}
	}
	if inside > h.workers+1 {
		t.Errorf("stop %d: %d requests waited in the application, want at most the %d it holds and a probe", i, inside, h.workers)
	}
	if refused == 0 {
		t.Errorf("stop %d: nobody was refused, so it was none", i)
	}
	begins, ends := stallLines(one.log)
	if len(begins) != 1 || len(ends) != 1 {
		t.Errorf("stop %d: the log tells of %d that began and %d that ended", i, len(begins), len(ends))
	}
	before := h.pages.between(one.begun.Add(-h.between+time.Second), one.begun.Add(-soon))
	after := h.pages.between(one.ended.Add(time.Second), one.ended.Add(h.between-soon))
	sideBySide(t, fmt.Sprintf("stop %d", i),
		"before:            "+before.String(),
		fmt.Sprintf("meanwhile:         %d waited in the application, %d were refused, %d of them after it went on", inside, refused, spike),
		"from a second on:  "+after.String(),
		strings.Join(append(begins, ends...), "\n    "))
	before.wantAllAnswered(t, "before the stop")
	after.wantAllAnswered(t, "from a second after the stop")
	after.wantAsQuickAs(t, "from a second after the stop", before)
}

// soon is how long before a stop a request may come that is still under way then.
const soon = 500 * time.Millisecond

// during are the visits that were under way at some time from the stop's begin until
// soon before the next.
func (h *halting) during(one halt) (visits []visit) {
	for _, v := range h.pages.visits {
		if v.due.Before(one.ended.Add(h.between-soon)) && v.due.Add(v.took).After(one.begun) {
			visits = append(visits, v)
		}
	}
	return visits
}

// stallLines are the lines of a log that tell of a stall's begin and of its end.
func stallLines(log string) (begins, ends []string) {
	for line := range strings.Lines(log) {
		switch line = strings.TrimSpace(line); {
		case strings.Contains(line, stallBegan):
			begins = append(begins, line)
		case strings.Contains(line, stallEnded):
			ends = append(ends, line)
		}
	}
	return begins, ends
}

// What the log says.
const (
	stallBegan = `msg="the application answers nobody; `
	stallEnded = `msg="the application answers again"`
)
