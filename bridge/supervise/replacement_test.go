package supervise

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The new child is ready before the old one is drained, which ends when its requests are finished;
// one instance after the other.
func TestRestart(t *testing.T) {
	superviseAs(t, Config{Instances: 2}, time.Minute, healthy, func(s *script, _ string) {
		s.allow(3)
		s.keepBusy("app-0", 5*time.Second)
		begun := time.Now()
		s.mustRestart(t)
		if d := time.Since(begun); d != 5600*time.Millisecond {
			t.Errorf("it took %v", d)
		}
		synctest.Wait()
		want := "add app-0, add app-1, add app-2, drain app-0, remove app-0, add app-0, drain app-1, remove app-1"
		if got := s.frontCalls(); got != want {
			t.Errorf("the calls of Front are %s\nwant %s", got, want)
		}
		if log := s.logged(); strings.Contains(log, "has ended\"") && strings.Contains(log, "crash loop") {
			t.Errorf("the log says\n%s", log)
		}
		if shot := s.snapshot(); shot.Instances[0].Number != 2 || shot.Instances[1].Number != 0 || shot.Exits["planned"] != 2 || shot.Started != 4 {
			t.Errorf("the snapshot is %+v", shot)
		}
	})
}

// If the new child fails, the old one goes on.
func TestRestartFails(t *testing.T) {
	for name, bad := range map[string]behaviour{
		"ends":            {lives: 10 * time.Millisecond},
		"fails":           {fails: true},
		"is never ready":  {ready: time.Hour},
		"serves too late": {ready: time.Minute + time.Second, ends: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			superviseAs(t, Config{}, time.Minute, inTurn(healthy(0), bad), func(s *script, _ string) {
				s.allow(2)
				err := s.restart()
				if err == nil || !strings.Contains(err.Error(), "what ran before goes on") {
					t.Errorf("restart: %v", err)
				}
				time.Sleep(time.Hour)
				s.wantCalls(t, "add app-0")
				if s.starts() != 2 || s.states() != "serving" {
					t.Errorf("%d starts, states %s", s.starts(), s.states())
				}
			})
		})
	}
}

// A restart that is asked for while a successor is being started replaces that, too, once for all
// such restarts.
func TestRestartsTogether(t *testing.T) {
	superviseAs(t, Config{}, time.Minute, healthy, func(s *script, _ string) {
		s.allow(2)
		errs := make(chan error, 3)
		for range 3 {
			done := make(chan error, 1)
			s.sup.calls <- func() { s.sup.restart(done) }
			go func() { errs <- <-done }()
			time.Sleep(time.Millisecond)
		}
		if err := errors.Join(<-errs, <-errs, <-errs); err != nil || s.starts() != 3 {
			t.Errorf("%v, %d starts", err, s.starts())
		}
	})
}

// A restart starts a child where none runs, whatever the budget.
func TestRestartBroken(t *testing.T) {
	superviseAs(t, Config{SpawnBudget: Budget{Spawns: 2}}, time.Minute, func(n int) behaviour {
		if n < 2 {
			return behaviour{lives: time.Millisecond}
		}
		return behaviour{serves: time.Second}
	}, func(s *script, _ string) {
		if _, refusing := s.refusing(); !refusing {
			t.Error("it is not broken")
		}
		s.mustRestart(t)
		time.Sleep(2 * time.Second)
		if _, refusing := s.refusing(); refusing || s.states() != "serving" {
			t.Errorf("refusing %v, %s", refusing, s.states())
		}
	})
}

// With a fixed port there is one process at a time.
func TestRestartOnAFixedPort(t *testing.T) {
	superviseAs(t, Config{Listen: "127.0.0.1:9000"}, time.Minute, healthy, func(s *script, _ string) {
		s.keepBusy("app-0", time.Second)
		s.mustRestart(t)
		s.wantCalls(t, "add app-0, drain app-0, resume app-0")
		s.wantStarts(t, 2)
	})
}

// Requests that do not finish are cut off after the drain timeout.
func TestDrainTimeout(t *testing.T) {
	superviseAs(t, Config{DrainTimeout: 3 * time.Minute}, time.Minute, healthy, func(s *script, _ string) {
		s.allow(2)
		s.keepBusy("app-0", 24*time.Hour)
		s.mu.Lock()
		s.inFlight = []Request{{Method: "GET", Path: "/events", Age: time.Hour}}
		s.mu.Unlock()
		begun := time.Now()
		s.mustRestart(t)
		if d := time.Since(begun); d != 3*time.Minute+300*time.Millisecond {
			t.Errorf("it took %v", d)
		}
		s.wantLog(t, `cut off with their process`, `in_flight="GET /events 1h0m0s"`)
		time.Sleep(48 * time.Hour) // until the timer of keepBusy has fired
	})
}

// The old child may exit before the new one is ready, or while it is drained.
func TestExitDuringReplacement(t *testing.T) {
	for name, lasts := range map[string]time.Duration{"before": 60*time.Second + 100*time.Millisecond, "drained": 61 * time.Second} {
		t.Run(name, func(t *testing.T) {
			superviseAs(t, Config{}, time.Minute, func(n int) behaviour {
				l := healthy(n)
				if n == 0 {
					l.lives = lasts
				}
				return l
			}, func(s *script, _ string) {
				s.allow(2)
				s.keepBusy("app-0", 10*time.Second)
				s.mustRestart(t)
				time.Sleep(time.Minute)
				if s.states() != "serving" || !strings.HasSuffix(s.frontCalls(), "drain app-0, remove app-0") {
					t.Errorf("%s, told %s", s.states(), s.frontCalls())
				}
			})
		})
	}
}

// A child is replaced after MaxRequests, and after MaxLifetime.
func TestReplacement(t *testing.T) {
	superviseAs(t, Config{MaxRequests: 3}, time.Minute, healthy, func(s *script, _ string) {
		s.allow(2)
		for range 2 {
			s.sup.answered("app-0", "/")
		}
		time.Sleep(time.Second)
		s.wantCalls(t, "add app-0, add app-1, drain app-0, remove app-0")
		s.wantLog(t, "reason=max_requests")
	})
	superviseAs(t, Config{MaxLifetime: time.Hour, Instances: 2}, 30*time.Minute, healthy, func(s *script, _ string) {
		s.allow(3)
		time.Sleep(24 * time.Hour)
		if n := s.starts(); n < 2*24 || n > 2*24*10/9+2 {
			t.Errorf("%d starts in a day", n)
		}
		if shot := s.snapshot(); shot.CrashLoop.Count != 0 {
			t.Errorf("the crash loop is %+v", shot.CrashLoop)
		}
	})
}

// A replacement that fails is tried again, less and less often.
func TestReplacementFails(t *testing.T) {
	superviseAs(t, Config{MaxLifetime: time.Hour}, 2*time.Hour, inTurn(healthy(0), behaviour{fails: true}), func(s *script, log string) {
		if n := s.starts(); n < 8 || n > 14 {
			t.Errorf("%d starts", n)
		}
		if s.states() != "serving" || !strings.Contains(log, "the old one goes on") {
			t.Errorf("%s\n%s", s.states(), log)
		}
	})
}

// A restart goes on when its caller has left.
func TestRestartGoesOn(t *testing.T) {
	superviseAs(t, Config{}, time.Minute, healthy, func(s *script, _ string) {
		s.allow(2)
		ctx, cancel := context.WithTimeoutCause(context.Background(), 10*time.Millisecond, errors.New("left"))
		defer cancel()
		if err := s.group.Restart(ctx); err == nil || err.Error() != "left" {
			t.Errorf("Restart: %v", err)
		}
		time.Sleep(time.Second)
		if s.starts() != 2 {
			t.Errorf("%d starts: its caller has left, but it goes on", s.starts())
		}
	})
}

// A restart of a broken instance returns why it failed.
func TestRestartBrokenFails(t *testing.T) {
	for _, ready := range []func(context.Context, string) error{nil, func(context.Context, string) error { return errors.New("not yet") }} {
		superviseAs(t, Config{SpawnBudget: Budget{Spawns: 2}, Ready: ready}, time.Minute, inTurn(behaviour{lives: 100 * time.Millisecond}), func(s *script, _ string) {
			if err := s.restart(); err == nil || !strings.Contains(err.Error(), "the new process ended: exit status 3") {
				t.Errorf("restart: %v", err)
			}
		})
	}
}
