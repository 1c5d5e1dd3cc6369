//go:build linux

package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// A threaded application with 16 workers has 24 tabs that poll it, 10 s at a time.
// Pages are all answered, as quickly as without the tabs, and polls have what is left
// over. Nothing is declared and nothing is known when it begins.
func TestPollsDrownNobody(t *testing.T) {
	t.Parallel() // so few requests do not disturb each other
	length := lasting(25*time.Second, 2*time.Minute)
	alone := pollScene{name: "lanes, no polls", kind: lanesOn, rate: 8, mean: pageTime, length: length}
	withPolls := pollScene{name: "lanes, 24 polls", kind: lanesOn, polls: 24, rate: 8, mean: pageTime, length: length}
	inLine := pollScene{name: "FIFO, 24 polls", kind: lanesOff, polls: 24, rate: 8, mean: pageTime, length: length}
	playAll(t, &alone, &withPolls, &inLine)
	compare(t, &alone, &withPolls, &inLine)
	withPolls.asked.wantAllAnswered(t, "polls through lanes")
	if withPolls.atWork < 11 { // 16 less the reserve of 4 is 12
		t.Errorf("%.1f polls were at work, want 12", withPolls.atWork)
	}
}

// The same at 60 % load, where 9.6 of the 16 workers are busy with pages. What is left
// is not enough for all tabs to get through within 20 s, so some are told to come back,
// unless they may wait for longer.
func TestPollsDrownNobodyUnderLoad(t *testing.T) {
	checkLeaks(t)
	// Short runs are among other tests, and 256 pages may wait. Of those that take 20 ms,
	// as many come in half a second, and this machine may well stand still for that.
	mean := lasting(2*pageTime, pageTime)
	rate := 0.6 * 16 / mean.Seconds()
	length := lasting(20*time.Second, 2*time.Minute)
	alone := pollScene{name: "lanes, no polls", kind: lanesOn, rate: rate, mean: mean, length: lasting(5*time.Second, 30*time.Second)}
	withPolls := pollScene{name: "lanes, 24 polls", kind: lanesOn, polls: 24, rate: rate, mean: mean, length: length}
	inLine := pollScene{name: "FIFO, 24 polls", kind: lanesOff, polls: 24, rate: rate, mean: mean, length: lasting(6*time.Second, 30*time.Second)}
	patient := pollScene{
		name: "lanes, 24 patient polls", kind: lanesOn, polls: 24, rate: rate, mean: mean, length: length,
		flags: []string{"--queue-long-timeout", "1m30s"},
	}
	playAll(t, &alone)
	playAll(t, &withPolls)
	playAll(t, &inLine)
	scenes := []*pollScene{&alone, &withPolls, &inLine}
	if soaking() {
		playAll(t, &patient)
		scenes = append(scenes, &patient)
	}
	compare(t, scenes...)
	withPolls.asked.wantNoneFailed(t, "polls through lanes")
	if withPolls.atWork < 1 { // it is 4 unless the machine is busy and pages take longer
		t.Errorf("%.1f polls were at work, want 4", withPolls.atWork)
	}
	if soaking() {
		patient.pages.wantAllAnswered(t, "pages beside patient polls")
		patient.pages.wantAsQuickAs(t, "pages beside patient polls", alone.pages)
		patient.asked.wantAllAnswered(t, "patient polls")
	}
}

// pollScene is pages and polls through a gate of its own to an application of its own.
type pollScene struct {
	name    string
	app     func(testing.TB, int) (be backend, stats string)      // nil: startThreaded
	through func(testing.TB, string, backend, ...string) laneGate // nil: startLanes
	kind    string                                                // of gate
	polls   int
	rate    float64       // pages a second
	mean    time.Duration // of what a page takes
	length  time.Duration
	flags   []string // of the gate, besides

	pages, asked figures // asked is of the polls
	cold, warm   figures // of the pages, within the first seconds and afterwards
	atWork       float64 // polls in the application, on average over the second half
	state        string  // of the gate, in the end
	gate         laneGate
}

func (s *pollScene) String() string {
	row := fmt.Sprintf("%s: %v", s.name, s.pages)
	if s.polls > 0 && s.kind == lanesOn {
		row += fmt.Sprintf("\n        first %v: %v\n        afterwards: %v", coldStart, s.cold, s.warm)
	}
	if s.polls > 0 {
		row += fmt.Sprintf("\n        polls: %.1f at work; %v", s.atWork, s.asked)
	}
	return row
}

// playAll plays scenes at the same time.
func playAll(t *testing.T, scenes ...*pollScene) {
	t.Helper()
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, s := range scenes {
		if s.app == nil {
			s.app = startThreaded
		}
		if s.through == nil {
			s.through = startLanes
		}
		be, stats := s.app(t, 16)
		s.gate = s.through(t, s.kind, be, s.flags...)
		pages, tabs := newCrowd(t, s.gate.url), newCrowd(t, s.gate.url)
		wg.Go(func() { s.play(t.Context(), pages, tabs, stats) })
	}
}

func (s *pollScene) play(ctx context.Context, pages, tabs *crowd, stats string) {
	tabsOpen, closeTabs := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	for i := range s.polls {
		poll := errand{route: "/poll?s=10", cookie: session("trac_session", 1000+i), answer: "polled\n"}
		wg.Go(func() { tabs.again(tabsOpen, poll) })
	}
	wg.Go(func() { s.watch(tabsOpen, stats) })
	begin := time.Now()
	pages.come(ctx, s.rate, s.length, func(i int, dice *rand.Rand) errand {
		return page("/page", session("trac_session", i%50), s.mean, dice)
	})
	s.state = s.gate.describe()
	closeTabs(errLeft)
	wg.Wait()
	s.pages, s.asked = pages.figures(), tabs.figures()
	s.cold, s.warm = pages.between(begin, begin.Add(coldStart)), pages.between(begin.Add(coldStart), farAway)
}

// watch counts the polls in the application during the second half.
func (s *pollScene) watch(ctx context.Context, stats string) {
	if sleep(ctx, s.length/2) != nil {
		return
	}
	sum, n := 0, 0
	for sleep(ctx, 100*time.Millisecond) == nil {
		var c counters
		if c.ask(stats) == nil {
			sum, n = sum+c.Waiting, n+1
			s.atWork = float64(sum) / float64(n)
		}
	}
}

// compare logs scenes side by side: one without polls, one with them, and others. It
// holds the pages of the second against those of the first.
func compare(t *testing.T, scenes ...*pollScene) {
	t.Helper()
	alone, withPolls := scenes[0], scenes[1]
	rows := make([]string, len(scenes))
	for i, s := range scenes {
		rows[i] = s.String()
	}
	sideBySide(t, fmt.Sprintf("%.0f pages a second", alone.rate), rows...)
	t.Log(withPolls.state)
	alone.pages.wantAllAnswered(t, "pages alone")
	withPolls.pages.wantAllAnswered(t, "pages through lanes")
	withPolls.pages.wantAsQuickAs(t, "pages through lanes", alone.pages)
}
