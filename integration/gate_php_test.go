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

// One user has twelve tabs open on a PHP application with 8 workers. Each tab holds
// the user's session for 2 s, and PHP lets one request at a time have a session, so
// they would fill the workers by waiting for each other. Nobody else notices, whether
// they use the same script or another.
func TestSessionLocksOnlyItsOwner(t *testing.T) {
	t.Parallel() // so few requests do not disturb each other
	compareSessions(t, startLanes, "/tabs.php", errand{route: "/routes.php/hello", answer: "hello\n"}, func() backend {
		return startFPM(t, fpmOptions{root: testdata(t, ""), workers: 8})
	})
}

// compareSessions plays scenes with applications and gates of their own, in which tabs hold the lock of
// their session in a script, and other users ask for the same script or something else.
func compareSessions(t *testing.T, through func(testing.TB, string, backend, ...string) laneGate, script string, other errand, app func() backend) {
	t.Helper()
	length := lasting(15*time.Second, 2*time.Minute)
	alone := sessionScene{name: "lanes, no tabs", kind: lanesOn, length: length}
	withTabs := sessionScene{name: "lanes, 12 tabs", kind: lanesOn, tabs: 12, length: length}
	inLine := sessionScene{name: "FIFO, 12 tabs", kind: lanesOff, tabs: 12, length: length}

	var wg sync.WaitGroup
	for _, s := range []*sessionScene{&alone, &withTabs, &inLine} {
		be := app()
		s.script, s.other = script, other
		s.gate = through(t, s.kind, be)
		others, tabs := newCrowd(t, s.gate.url), newCrowd(t, s.gate.url)
		wg.Go(func() { s.play(t.Context(), others, tabs) })
	}
	wg.Wait()

	sideBySide(t, "20 requests a second of other users", alone.String(), withTabs.String(), inLine.String())
	t.Log(withTabs.state)
	alone.others.wantAllAnswered(t, "other users, alone")
	withTabs.others.wantAllAnswered(t, "other users")
	// The first request ever for the script is a tab's, and until that has turned out to be
	// slow, for a second or two, hardly anybody else is let in. These few are more than one in
	// a hundred, even of two minutes: they are printed above, and must have been answered.
	withTabs.warm.wantAsQuickAs(t, "other users, not counting the first seconds", alone.others)
	withTabs.own.wantNoneFailed(t, "the tabs")
	if withTabs.own.answered == 0 {
		t.Error("no tab was answered")
	}
}

// sessionScene is one user's tabs and other users through a gate of its own to a PHP
// of its own.
type sessionScene struct {
	name   string
	kind   string // of gate
	tabs   int
	length time.Duration
	script string // in which a session is locked
	other  errand

	others, own figures
	cold, warm  figures // of the others, within the first seconds and afterwards
	state       string  // of the gate, in the end
	gate        laneGate
}

func (s *sessionScene) String() string {
	row := fmt.Sprintf("%s: %v", s.name, s.others)
	if s.tabs > 0 && s.kind == lanesOn {
		row += fmt.Sprintf("\n        first %v: %v\n        afterwards: %v", coldStart, s.cold, s.warm)
	}
	if s.tabs > 0 {
		row += fmt.Sprintf("\n        tabs: %v", s.own)
	}
	return row
}

func (s *sessionScene) play(ctx context.Context, others, tabs *crowd) {
	open, closeTabs := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	for range s.tabs {
		held := errand{route: s.script + "?ms=2000", cookie: session("PHPSESSID", 1000), answer: "page\n"}
		wg.Go(func() { tabs.again(open, held) })
	}
	begin := time.Now()
	others.come(ctx, 20, s.length, func(i int, dice *rand.Rand) errand {
		e := page(s.script, "", pageTime, dice)
		switch i % 4 {
		case 0, 1: // the same script, a session of one's own
			e.cookie = session("PHPSESSID", i%200)
		case 2: // no session
		case 3:
			e = s.other
		}
		return e
	})
	s.state = s.gate.describe()
	closeTabs(errLeft)
	wg.Wait()
	s.others, s.own = others.figures(), tabs.figures()
	s.cold, s.warm = others.between(begin, begin.Add(coldStart)), others.between(begin.Add(coldStart), farAway)
}
