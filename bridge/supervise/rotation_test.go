package supervise

import (
	"strings"
	"testing"
	"time"
)

// Requests do not wait at an instance where nothing runs while others work; and they do
// where there is no other.
func TestSteer(t *testing.T) {
	superviseAs(t, Config{Instances: 2}, 10*time.Second, func(n int) behaviour {
		switch n {
		case 0:
			return behaviour{serves: time.Second, lives: 5 * time.Second}
		case 2:
			return behaviour{lives: 100 * time.Millisecond} // the next of the first
		}
		return healthy(n)
	}, func(s *script, _ string) {
		s.wantCalls(t, "add app-0, add app-1, drain app-0, fail app-0, resume app-0")
		if s.starts() != 4 || s.states() != "serving serving" {
			t.Errorf("%d starts, %s", s.starts(), s.states())
		}
	})
	superviseAs(t, Config{Instances: 2, SpawnBudget: Budget{Spawns: 3}}, 4*time.Second, inTurn(behaviour{lives: 100 * time.Millisecond}), func(s *script, _ string) {
		// The one that died last keeps what waits, until both are given up.
		if got := s.frontCalls(); !strings.HasSuffix(got, "down, fail app-0, fail app-1") || strings.Count(got, "down") != 1 {
			t.Errorf("told %s", got)
		}
	})
}

// The end of a child that is not needed any more is no failed start, however soon it is.
func TestIdleAtOnce(t *testing.T) {
	superviseAs(t, Config{IdleShutdown: 50 * time.Millisecond}, time.Second, healthy, func(s *script, _ string) {
		if err := <-s.sup.firstResult; err != nil || s.states() != "asleep" {
			t.Errorf("%v, %s", err, s.states())
		}
	})
}
