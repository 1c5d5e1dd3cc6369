package supervise

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A request that comes in the very moment in which the child that was put to sleep has
// ended is not lost.
func TestWantedAsItEnds(t *testing.T) {
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

// What is woken gets no request before it says that it is ready.
func TestReadyAfterSleep(t *testing.T) {
	var asked atomic.Int64
	ready := func(context.Context, string) error {
		asked.Add(1)
		return nil
	}
	superviseAs(t, Config{IdleShutdown: 10 * time.Second, Ready: ready}, time.Minute, healthy, func(s *script, _ string) {
		if s.states() != "asleep" || asked.Load() != 1 {
			t.Fatal(s.states(), asked.Load())
		}
		s.group.Wanted()
		time.Sleep(5 * time.Second)
		if s.states() != "serving" || asked.Load() != 2 {
			t.Errorf("%s, it was asked %d times", s.states(), asked.Load())
		}
	})
}

// An instance that waits for its next start when the others are put to sleep sleeps, too.
func TestRestsWhileOneWaits(t *testing.T) {
	superviseAs(t, Config{Instances: 2, IdleShutdown: 20 * time.Second, SpawnBudget: Budget{Spawns: 50}}, time.Hour, func(n int) behaviour {
		if n == 0 || n > 1 && n < 7 {
			return behaviour{lives: 100 * time.Millisecond}
		}
		return healthy(n)
	}, func(s *script, _ string) {
		if s.living() > 0 || s.starts() > 10 {
			t.Errorf("nobody has asked for an hour: %s, %d starts", s.states(), s.starts())
		}
	})
}

// What takes longer to start than it may be idle is not put to sleep before somebody
// could be answered.
func TestRestsWhenItWasReady(t *testing.T) {
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
				t.Errorf("nobody asks, and it is %s", s.states())
			}
			s.group.Wanted()
			time.Sleep(7 * time.Second)
		}
	})
}
