package supervise

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A request that comes at the moment in which the last child has ended is served.
func TestRequestAsTheChildEnds(t *testing.T) {
	lives := func(n int) behaviour {
		l := healthy(n)
		l.ends = time.Second
		return l
	}
	superviseAs(t, Config{IdleShutdown: 10 * time.Second}, 10500*time.Millisecond, lives, func(s *script, _ string) {
		s.wantStates(t, "ending")
		c := s.child(0)
		<-c.reaped
		s.group.Wanted()
		synctest.Wait()
		if s.starts() != 2 {
			t.Errorf("%d starts, %s", s.starts(), s.states())
		}
	})
}

// After sleep, requests are sent only when the child is ready.
func TestReadyAfterSleep(t *testing.T) {
	var calls atomic.Int64
	ready := func(context.Context, string) error {
		calls.Add(1)
		return nil
	}
	superviseAs(t, Config{IdleShutdown: 10 * time.Second, Ready: ready}, time.Minute, healthy, func(s *script, _ string) {
		if s.states() != "asleep" || calls.Load() != 1 {
			t.Fatal(s.states(), calls.Load())
		}
		s.group.Wanted()
		time.Sleep(5 * time.Second)
		if s.states() != "serving" || calls.Load() != 2 {
			t.Errorf("%s, Ready was called %d times", s.states(), calls.Load())
		}
	})
}

// An instance that waits for its next start goes to sleep with the others.
func TestIdleShutdownWhileOneWaits(t *testing.T) {
	superviseAs(t, Config{Instances: 2, IdleShutdown: 20 * time.Second, SpawnBudget: Budget{Spawns: 50}}, time.Hour, func(n int) behaviour {
		if n == 0 || n > 1 && n < 7 {
			return behaviour{lives: 100 * time.Millisecond}
		}
		return healthy(n)
	}, func(s *script, _ string) {
		if s.living() > 0 || s.starts() > 10 {
			t.Errorf("there was no request for an hour: %s, %d starts", s.states(), s.starts())
		}
	})
}

// A child that takes longer to start than IdleShutdown is not stopped before it was ready.
func TestIdleShutdownAfterASlowStart(t *testing.T) {
	slow := inTurn(behaviour{serves: 7 * time.Second, ready: 6 * time.Second})
	ready := func(ctx context.Context, _ string) error {
		select {
		case <-time.After(6 * time.Second):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	superviseAs(t, Config{IdleShutdown: 2 * time.Second, Ready: ready}, 0, slow, func(s *script, _ string) {
		time.Sleep(7 * time.Second)
		for range 3 {
			if s.living() != 1 {
				t.Errorf("it was ended as soon as it was ready: %s", s.states())
			}
			time.Sleep(10 * time.Second)
			if s.states() != "asleep" {
				t.Errorf("there is no request, and it is %s", s.states())
			}
			s.group.Wanted()
			time.Sleep(7 * time.Second)
		}
	})
}

func TestIdleShutdown(t *testing.T) {
	superviseAs(t, Config{IdleShutdown: 10 * time.Minute, Instances: 2}, 9*time.Minute, healthy, func(s *script, _ string) {
		s.wantStates(t, "serving serving")
		s.group.Wanted()
		time.Sleep(9 * time.Minute)
		s.setLoad(1, 0) // a long request
		time.Sleep(10 * time.Minute)
		s.wantStates(t, "serving serving")
		s.setLoad(0, 0)
		time.Sleep(2 * time.Second)
		if s.states() != "asleep asleep" || s.living() != 0 {
			t.Errorf("%s, %d live", s.states(), s.living())
		}
		time.Sleep(time.Hour)
		s.wantStarts(t, 2)
		s.group.Wanted()
		synctest.Wait()
		if s.starts() != 4 || strings.Count(s.frontCalls(), "resume") != 2 {
			t.Errorf("%d starts, told %s", s.starts(), s.frontCalls())
		}
		if shot := s.snapshot(); shot.CrashLoop.Count != 0 {
			t.Errorf("the crash loop is %+v", shot.CrashLoop)
		}
	})
}

func TestRequestWhileTheChildEnds(t *testing.T) {
	for name, at := range map[string]time.Duration{"drained": time.Second, "ending": 3 * time.Second} {
		t.Run(name, func(t *testing.T) {
			next := func(n int) behaviour {
				l := healthy(n)
				l.ends = 2 * time.Second
				return l
			}
			superviseAs(t, Config{IdleShutdown: time.Minute}, 30*time.Second, next, func(s *script, _ string) {
				s.keepBusy("app-0", 2*time.Second)
				time.Sleep(30*time.Second + at)
				s.group.Wanted()
				time.Sleep(5 * time.Second)
				if s.states() != "serving" || !strings.HasSuffix(s.frontCalls(), "drain app-0, resume app-0") {
					t.Errorf("%s, told %s", s.states(), s.frontCalls())
				}
				if n := s.starts(); n != 1 && at < 2*time.Second || n != 2 && at > 2*time.Second {
					t.Errorf("%d starts", n)
				}
			})
		})
	}
}
