package supervise

import (
	"strings"
	"testing"
	"time"
)

// A command whose file system does not answer is in state starting until the start timeout, and
// is killed then. Calls do not wait for it.
func TestLaunchHangs(t *testing.T) {
	superviseAs(t, Config{StartTimeout: 20 * time.Second}, time.Second, inTurn(behaviour{launch: time.Hour}), func(s *script, _ string) {
		begun := time.Now()
		shot := s.snapshot().Instances[0]
		if shot.State != "starting" || shot.Restarts != 0 || s.snapshot().Started != 0 {
			t.Errorf("the instance is %+v", shot)
		}
		if err := s.reconfigure(t, func(c *Config) { c.MaxRequests = 7 }); err != nil {
			t.Error(err)
		}
		if d := time.Since(begun); d != 0 {
			t.Errorf("that took %v", d)
		}
		time.Sleep(20 * time.Second)
		log := s.logged()
		for _, want := range []string{"the command is being started, and does not run yet", "not ready in time", "has not been executed yet"} {
			if !strings.Contains(log, want) {
				t.Errorf("the log does not say %q:\n%s", want, log)
			}
		}
		if shot := s.snapshot(); shot.Exits[exitNotReady] != 1 || strings.Contains(log, "the command is running") {
			t.Errorf("exits are %v; the log says\n%s", shot.Exits, log)
		}
	})
}

// Start waits for the launch, but not for long.
func TestStartWaitsForTheLaunch(t *testing.T) {
	for _, tc := range []struct {
		launch, want time.Duration
		fails        bool
		err          string
	}{
		{launch: 2 * time.Second, want: 2 * time.Second},
		{launch: 3 * time.Second, fails: true, want: 3 * time.Second, err: "no such program"},
		{launch: time.Hour, want: launchPatience},
	} {
		superviseAs(t, Config{}, 0, inTurn(behaviour{launch: tc.launch, fails: tc.fails}), func(s *script, _ string) {
			begun := time.Now()
			err := <-s.result
			if d := time.Since(begun); d != tc.want || (err == nil) != (tc.err == "") || err != nil && err.Error() != tc.err {
				t.Errorf("%+v: %v after %v", tc, err, d)
			}
		})
	}
}

// A launch that hangs delays no other instance. Requests go to the others, but those that were
// sent to the instance stay: its child may read them any moment.
func TestLaunchHoldsUpNobody(t *testing.T) {
	superviseAs(t, Config{Instances: 2, StartTimeout: time.Hour}, 9*time.Second, func(n int) behaviour {
		switch n {
		case 0:
			return behaviour{serves: time.Second, lives: 10 * time.Second}
		case 2:
			return behaviour{launch: time.Minute, serves: time.Second}
		}
		return behaviour{serves: time.Second, lives: 12 * time.Second}
	}, func(s *script, _ string) {
		time.Sleep(2 * time.Second)
		if got, want := s.frontCalls(), "add app-0, add app-1, drain app-0"; got != want || s.states() != "starting serving" {
			t.Errorf("the calls of Front are %s, want %s, states %s", got, want, s.states())
		}
		time.Sleep(3 * time.Second)
		if s.starts() != 4 {
			t.Errorf("%d starts: the other instance was not followed", s.starts())
		}
		time.Sleep(time.Minute)
		if got := s.frontCalls(); !strings.Contains(got, "resume app-0") || strings.Contains(got, "fail app-0, resume app-0") {
			t.Errorf("the calls of Front are %s", got)
		}
	})
}

// A child that does not end although it was killed is logged once, and a child on another socket
// takes its place. Close does not wait for it.
func TestStuck(t *testing.T) {
	superviseAs(t, Config{StallKill: 10 * time.Second, DrainTimeout: time.Minute}, 0, func(n int) behaviour {
		l := healthy(n)
		l.stuck = n == 0
		return l
	}, func(s *script, _ string) {
		s.allow(2)
		s.stuck = 1
		time.Sleep(5 * time.Second)
		s.group.Stalled(time.Now())
		time.Sleep(10*time.Second + stopTimeout)
		s.group.Stalled(time.Time{})
		if n := strings.Count(s.logged(), "does not end although it was killed"); n != 1 {
			t.Errorf("it is logged %d times:\n%s", n, s.logged())
		}
		time.Sleep(2 * time.Second)
		s.wantCalls(t, "add app-0, add app-1, drain app-0")
		// While it is there, no other child is replaced: the number of processes is bounded.
		if err := s.restart(); err == nil || !strings.Contains(err.Error(), "process 1000 was killed and does not end") {
			t.Errorf("a restart: %v", err)
		}
		s.atEnd = func(took time.Duration) {
			if took > closeTimeout || len(s.sup.leftovers) != 1 || s.sup.leftovers[0] != 1000 {
				t.Errorf("the end took %v, left are %v", took, s.sup.leftovers)
			}
		}
	})
}

// A restart does not wait for a successor that is stuck.
func TestStuckSuccessor(t *testing.T) {
	superviseAs(t, Config{StartTimeout: 10 * time.Second}, time.Minute, inTurn(healthy(0), behaviour{launch: 24 * time.Hour, stuck: true}), func(s *script, _ string) {
		s.allow(2)
		s.stuck = 1
		begun := time.Now()
		err := s.restart()
		if d := time.Since(begun); err == nil || !strings.Contains(err.Error(), "does not end; what ran before goes on") || d > 10*time.Second+stopTimeout {
			t.Errorf("%v, after %v", err, d)
		}
		s.wantStates(t, "serving closed")
	})
}

// The time for which a child must live begins when it runs.
func TestLifeBeginsWithTheLaunch(t *testing.T) {
	superviseAs(t, Config{SpawnBudget: Budget{Spawns: 1}}, time.Minute, func(n int) behaviour {
		return behaviour{launch: probation - time.Millisecond, lives: probation / 2}
	}, func(s *script, _ string) {
		s.wantStates(t, "broken")
		if err := s.restart(); err == nil || !strings.Contains(err.Error(), "exit status 3") {
			t.Errorf("a restart in vain: %v", err)
		}
		if lived := s.snapshot().Instances[0].LastExit.Lived; lived != probation/2 {
			t.Errorf("it lived %v", lived)
		}
	})
}
