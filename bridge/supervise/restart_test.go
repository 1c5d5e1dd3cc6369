package supervise

import (
	"context"
	"strings"
	"testing"
	"time"
)

// A restart wakes instances that are asleep.
func TestRestartAsleep(t *testing.T) {
	superviseAs(t, Config{IdleShutdown: 10 * time.Second}, time.Minute, healthy, func(s *script, _ string) {
		s.wantStates(t, "asleep")
		if err := s.restart(); err != nil || s.starts() != 2 || s.living() != 1 {
			t.Errorf("%v, %d starts, %s", err, s.starts(), s.states())
		}
	})
}

// A restart replaces a child that is drained for idleness, even if there is a request meanwhile.
func TestRestartGoingToSleep(t *testing.T) {
	superviseAs(t, Config{IdleShutdown: 10 * time.Second}, time.Second, healthy, func(s *script, _ string) {
		s.allow(2)
		s.keepBusy("app-0", 20*time.Second)
		time.Sleep(15 * time.Second)
		s.wantStates(t, "draining")
		time.AfterFunc(time.Second, s.group.Wanted)
		if err := s.restart(); err != nil || s.starts() != 2 {
			t.Errorf("%v, %d starts", err, s.starts())
		}
	})
}

// A restart does not wait for the end of a pause between starts.
func TestRestartWaiting(t *testing.T) {
	superviseAs(t, Config{SpawnBudget: Budget{Spawns: 100}}, 70*time.Second, func(n int) behaviour {
		if n < 7 {
			return behaviour{lives: 10 * time.Millisecond}
		}
		return healthy(n)
	}, func(s *script, _ string) {
		if left := time.Until(s.snapshot().Instances[0].Next); s.states() != "waiting" || left < 10*time.Second {
			t.Fatal(s.states(), left)
		}
		begun := time.Now()
		s.mustRestart(t)
		if d := time.Since(begun); d > time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

// A restart right after an exit starts the next child.
func TestRestartAfterAnExit(t *testing.T) {
	superviseAs(t, Config{}, 2100*time.Millisecond, inTurn(behaviour{lives: 2 * time.Second}), func(s *script, _ string) {
		if err := s.restart(); err != nil || s.living() != 1 || s.starts() != 2 {
			t.Errorf("%v, %d live, %d starts", err, s.living(), s.starts())
		}
	})
}

// Where the old child ends first, the restart ends when the new child is ready or has failed.
func TestRestartOnAFixedPortFails(t *testing.T) {
	superviseAs(t, Config{Listen: "127.0.0.1:9000"}, time.Minute, inTurn(healthy(0), behaviour{lives: 10 * time.Millisecond}), func(s *script, _ string) {
		if err := s.restart(); err == nil || !strings.Contains(err.Error(), "exit status 3") {
			t.Errorf("restart: %v, %d starts", err, s.starts())
		}
	})
}

// If the new child exits while the old one is drained, the old one goes on.
func TestRestartFailsLate(t *testing.T) {
	superviseAs(t, Config{}, time.Minute, inTurn(healthy(0), behaviour{ready: time.Millisecond, lives: time.Second}), func(s *script, _ string) {
		s.allow(2)
		s.keepBusy("app-0", 5*time.Minute)
		if err := s.restart(); err == nil || !strings.Contains(err.Error(), "what ran before goes on") {
			t.Errorf("restart: %v", err)
		}
		time.Sleep(10 * time.Minute)
		if s.states() != "serving" || s.starts() != 2 || !strings.Contains(s.frontCalls(), "resume app-0") {
			t.Errorf("%s, %d starts, told %s", s.states(), s.starts(), s.frontCalls())
		}
	})
}

// A restart does not wait for an instance that there is no memory for.
func TestRestartWithoutRoom(t *testing.T) {
	superviseAs(t, Config{Instances: 3, Memory: Memory{Total: 250 * mib}}, time.Minute, func(n int) behaviour {
		l := healthy(n)
		l.memory = 100 * mib
		return l
	}, func(s *script, _ string) {
		if n := s.living(); n != 2 {
			t.Fatalf("%d live, there is room for two", n)
		}
		begun, before := time.Now(), s.starts()
		err := s.restart()
		if d := time.Since(begun); err != nil || d > time.Minute || s.starts() != before+2 {
			t.Errorf("%v after %v, %d starts", err, d, s.starts()-before)
		}
	})
}

// An answer of an earlier child at the same address does not count for a new one.
func TestRestartWhileAnotherAnswers(t *testing.T) {
	superviseAs(t, Config{}, time.Minute, healthy, func(s *script, _ string) {
		s.allow(2)
		time.AfterFunc(100*time.Millisecond, func() { s.group.Answered("app-1", "/") })
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.group.Restart(ctx); err != nil {
			t.Error(err)
		}
	})
}
