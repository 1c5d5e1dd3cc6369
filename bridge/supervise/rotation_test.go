package supervise

import (
	"strings"
	"testing"
	"time"
)

// Requests do not wait at an instance without a child while another serves; without another they
// do.
func TestReroute(t *testing.T) {
	superviseAs(t, Config{Instances: 2}, 10*time.Second, func(n int) behaviour {
		switch n {
		case 0:
			return behaviour{serves: time.Second, lives: 5 * time.Second}
		case 2:
			return behaviour{lives: 100 * time.Millisecond} // the first one after the exit
		}
		return healthy(n)
	}, func(s *script, _ string) {
		s.wantCalls(t, "add app-0, add app-1, drain app-0, fail app-0, resume app-0")
		if s.starts() != 4 || s.states() != "serving serving" {
			t.Errorf("%d starts, %s", s.starts(), s.states())
		}
	})
	superviseAs(t, Config{Instances: 2, SpawnBudget: Budget{Spawns: 3}}, 4*time.Second, inTurn(behaviour{lives: 100 * time.Millisecond}), func(s *script, _ string) {
		// The instance whose child has exited last keeps its requests until both are broken.
		if got := s.frontCalls(); !strings.HasSuffix(got, "down, fail app-0, fail app-1") || strings.Count(got, "down") != 1 {
			t.Errorf("the calls of Front are %s", got)
		}
	})
}

// An exit that was planned is no failed start, however early it is.
func TestIdleShutdownAtOnce(t *testing.T) {
	superviseAs(t, Config{IdleShutdown: 50 * time.Millisecond}, time.Second, healthy, func(s *script, _ string) {
		if err := <-s.sup.firstResult; err != nil || s.states() != "asleep" {
			t.Errorf("%v, %s", err, s.states())
		}
	})
}

// Requests go to others as soon as a child has exited. Those that it has not answered are sent away when
// nothing is left of its group: before, one of that may have read them.
func TestRequestsOfAGroupThatEndsLate(t *testing.T) {
	superviseAs(t, Config{Instances: 2, SpawnBudget: Budget{Spawns: 1, Per: time.Hour}}, 12*time.Second, func(n int) behaviour {
		if n == 0 {
			return behaviour{lives: 10 * time.Second, groupEnds: 4 * time.Second}
		}
		return behaviour{}
	}, func(s *script, _ string) {
		s.wantCalls(t, "add app-0, add app-1, drain app-0")
		time.Sleep(3 * time.Second)
		s.wantCalls(t, "add app-0, add app-1, drain app-0, fail app-0")
	})
}
