package supervise

import (
	"strings"
	"testing"
	"time"
)

// gitweb exits after each error page, with status 0: the next child is started at once, however
// often that happens, and it is no crash loop.
func TestCleanExits(t *testing.T) {
	const each = 2 * time.Second
	superviseOne(t, Budget{Spawns: 1, Stop: true}, time.Hour, inTurn(behaviour{serves: time.Second, lives: each, clean: true}), func(s *script, log string) {
		if n := s.starts(); n != int(time.Hour/each)+1 && n != int(time.Hour/each) {
			t.Errorf("%d starts in an hour, want one each %v", n, each)
		}
		shot := s.snapshot()
		in := shot.Instances[0]
		if shot.CrashLoop.Active || shot.CrashLoop.LastMinute != 0 || shot.Budget.Left != 1 || shot.Breaker != "closed" ||
			shot.Exits[exitClean] != uint64(s.starts()-1) || in.LastExit == nil || !in.LastExit.Served {
			t.Errorf("the snapshot is %+v", shot)
		}
		if strings.Contains(log, "level=ERROR") || strings.Contains(log, "level=WARN") {
			t.Errorf("the log says\n%s", log)
		}
		if n := strings.Count(log, "\n"); n > 65 {
			t.Errorf("%d lines of log in an hour", n)
		}
		s.wantLog(t, "answered=1 state=waiting not_logged=29\n")
	})
}

// An exit with status 0 is not clean if the child has not served.
func TestStatusZeroUnserved(t *testing.T) {
	superviseOne(t, Budget{}, time.Hour, inTurn(behaviour{lives: time.Second, clean: true}), func(s *script, log string) {
		if shot := s.snapshot(); shot.Breaker != "open" || shot.Exits[exitClean] != 0 || shot.Exits[exitExited] == 0 {
			t.Errorf("the snapshot is %+v", shot)
		}
		s.wantLog(t, "a crash loop begins")
	})
}

// The log of a clean exit has the requests that were cut off.
func TestCleanExitCutsOff(t *testing.T) {
	superviseOne(t, Budget{}, 3*time.Second, inTurn(behaviour{serves: time.Second, lives: 2 * time.Second, clean: true, losses: []Request{{Method: "GET", Path: "/cut", Route: "/cut"}}}, behaviour{}), func(s *script, log string) {
		if s.starts() != 2 || !strings.Contains(log, `in_flight="GET /cut 0s"`) || strings.Contains(log, "level=ERROR") {
			t.Errorf("%d starts:\n%s", s.starts(), log)
		}
	})
}

// A draining child may exit by itself.
func TestCleanExitWhileDrained(t *testing.T) {
	superviseOne(t, Budget{}, 2*time.Second, inTurn(behaviour{serves: time.Second, lives: 5 * time.Second, clean: true}, healthy(0)), func(s *script, _ string) {
		s.allow(2)
		s.keepBusy("app-0", time.Hour)
		done := make(chan error, 1)
		s.sup.call(func() { s.sup.restart(done) })
		time.Sleep(10 * time.Second)
		log := s.logged()
		if len(done) != 1 || <-done != nil || s.starts() != 2 {
			t.Errorf("%d starts, restarted: %d", s.starts(), len(done))
		}
		if strings.Count(log, "has ended by itself, without an error") != 1 || !strings.Contains(log, "state=closed") || strings.Contains(log, "level=ERROR") {
			t.Errorf("the log says\n%s", log)
		}
	})
}
