package supervise

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A probing child that accepts connections is ready, even if its first answer takes long.
func TestProbeAccepts(t *testing.T) {
	superviseAs(t, Config{SpawnBudget: Budget{Spawns: 1, Per: time.Minute}}, 0, inTurn(behaviour{lives: time.Millisecond}, behaviour{}), func(s *script, _ string) {
		s.queue.Store(1)
		time.Sleep(62 * time.Second)
		s.wantStates(t, "probing")
		s.queue.Store(0)
		time.Sleep(10 * time.Minute)
		if s.starts() != 2 || s.states() != "probing" {
			t.Errorf("%d starts, %s", s.starts(), s.states())
		}
	})
}

// A child that does not accept the connections that wait is ended in time.
func TestProbeDoesNotAccept(t *testing.T) {
	superviseAs(t, Config{}, time.Second, inTurn(behaviour{}), func(s *script, _ string) {
		s.queue.Store(1)
		s.sup.call(func() { s.sup.instances[0].nextPeek = time.Now() })
		time.Sleep(time.Minute + time.Second)
		if exits := s.snapshot().CrashLoop.Exits; len(exits) != 1 || exits[0].Cause != notReady {
			t.Errorf("exits are %+v", exits)
		}
	})
}

// A child whose group takes long to end delays only its own instance.
func TestGroupEndsLate(t *testing.T) {
	superviseAs(t, Config{Instances: 2}, 10500*time.Millisecond, func(n int) behaviour {
		l := behaviour{serves: time.Second}
		switch n {
		case 0:
			l.lives, l.groupEnds = 10*time.Second, 5*time.Second
		case 1:
			l.lives = 11 * time.Second
		}
		return l
	}, func(s *script, _ string) {
		begun := time.Now()
		if shot := s.snapshot(); shot.Instances[0].PID != 1000 || !time.Now().Equal(begun) {
			t.Errorf("after %v: %+v", time.Since(begun), shot.Instances[0])
		}
		time.Sleep(time.Second)
		if s.starts() != 3 {
			t.Errorf("%d starts: the other one was not followed", s.starts())
		}
		time.Sleep(5 * time.Second)
		if s.starts() != 4 || s.living() != 2 {
			t.Errorf("%d starts, %d live", s.starts(), s.living())
		}
	})
}

// A child that exits before the start timeout has ended by itself, even if its group ends after it.
func TestExitBeforeReady(t *testing.T) {
	never := func(context.Context, string) error { return errors.New("not yet") }
	superviseAs(t, Config{Ready: never, StartTimeout: 10 * time.Second}, 0, inTurn(behaviour{lives: 9 * time.Second, groupEnds: 4 * time.Second}), func(s *script, _ string) {
		looks := 0
		s.sup.call(func() {
			s.sup.onPass = func(time.Time) {
				if looks++; looks > 200 {
					panic("the supervisor does not come to rest")
				}
			}
		})
		time.Sleep(14 * time.Second)
		if exits := s.snapshot().CrashLoop.Exits; len(exits) != 1 || exits[0].Cause != "" || strings.Contains(s.logged(), "not ready") {
			t.Errorf("exits are %+v\n%s", exits, s.logged())
		}
	})
}

// After an exit, requests are sent only when the next child is ready.
func TestReadyAfterAnExit(t *testing.T) {
	var slow atomic.Bool
	ready := func(context.Context, string) error {
		if slow.Load() {
			return errors.New("not yet")
		}
		return nil
	}
	superviseAs(t, Config{Ready: ready}, 5*time.Second, inTurn(behaviour{serves: time.Second, lives: 10 * time.Second}, behaviour{serves: 15 * time.Second}), func(s *script, _ string) {
		slow.Store(true)
		time.Sleep(10 * time.Second)
		if got := s.frontCalls(); got != "add app-0, drain app-0" || s.starts() != 2 {
			t.Errorf("the calls of Front are %s, %d starts", got, s.starts())
		}
		slow.Store(false)
		time.Sleep(2 * time.Second)
		s.wantCalls(t, "add app-0, drain app-0, resume app-0")
	})
}

func TestStartTimeout(t *testing.T) {
	ready := inTurn(behaviour{ready: time.Hour})
	superviseAs(t, Config{StartTimeout: 10 * time.Second, Instances: 1, MaxInstances: 2}, time.Second, healthy, func(s *script, _ string) {
		s.mu.Lock()
		s.maxAlive, s.behave = 2, ready
		s.mu.Unlock()
		s.setLoad(1, 1)
		time.Sleep(time.Minute)
		s.setLoad(1, 0)
		s.wantCalls(t, "add app-0")
		s.wantLog(t, "not ready within the start timeout")
	})
}
