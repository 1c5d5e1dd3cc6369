package supervise

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func (s *script) setLoad(inFlight, waiting int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.load = Load{inFlight, waiting}
}

// Requests that wait have one more instance started, and another, and when few are left
// those that are not needed end, one after the other.
func TestGrowAndShrink(t *testing.T) {
	superviseAs(t, Config{MaxInstances: 3, Workers: 4}, time.Minute, healthy, func(s *script, _ string) {
		s.allow(3)
		s.setLoad(4, 1)
		time.Sleep(3 * time.Second)
		s.setLoad(4, 0) // a moment's matter
		time.Sleep(3 * time.Second)
		s.setLoad(4, 1)
		time.Sleep(3 * time.Second)
		if s.starts() != 1 {
			t.Fatal("it grew too early")
		}
		time.Sleep(30 * time.Second)
		if s.starts() != 3 {
			t.Fatalf("%d instances, want 3", s.starts())
		}
		s.setLoad(7, 0) // more than three quarters of two
		time.Sleep(10 * time.Minute)
		s.wantCalls(t, "add app-0, add app-1, add app-2")
		s.setLoad(3, 0)
		time.Sleep(10 * time.Minute)
		s.wantCalls(t, "add app-0, add app-1, add app-2, drain app-2, remove app-2, drain app-1, remove app-1")
	})
}

// More of what dies is no help.
func TestDoesNotGrowInAStorm(t *testing.T) {
	superviseAs(t, Config{MaxInstances: 3}, time.Second, inTurn(behaviour{lives: time.Second}), func(s *script, _ string) {
		s.setLoad(1, 10)
		time.Sleep(time.Minute)
		if n := len(s.snapshot().Instances); n != 1 {
			t.Errorf("%d instances", n)
		}
	})
}

// Without requests nothing runs, and with the first one something does.
func TestIdleShutdown(t *testing.T) {
	superviseAs(t, Config{IdleShutdown: 10 * time.Minute, Instances: 2}, 9*time.Minute, healthy, func(s *script, _ string) {
		s.wantStates(t, "serving serving")
		s.group.Wanted()
		time.Sleep(9 * time.Minute)
		s.setLoad(1, 0) // a long one
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
			t.Errorf("the storm is %+v", shot.CrashLoop)
		}
	})
}

// A request that comes while the child is being ended is not lost.
func TestWantedWhileItEnds(t *testing.T) {
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

// A stall that lasts has the children ended that answer nobody, their stacks first.
func TestStallKill(t *testing.T) {
	superviseAs(t, Config{StallKill: 30 * time.Second, DumpSignal: 10, Instances: 2}, time.Minute, healthy, func(s *script, _ string) {
		began := time.Now()
		s.group.Stalled(began)
		time.Sleep(20 * time.Second)
		s.sup.answered("app-1", "/")
		first := s.child(0)
		time.Sleep(9 * time.Second)
		if first.dumped.Load() {
			t.Error("too early")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if !first.dumped.Load() || isClosed(first.exited) {
			t.Errorf("dumped %v", first.dumped.Load())
		}
		time.Sleep(dumpTime)
		synctest.Wait()
		if !isClosed(first.exited) || s.starts() != 3 {
			t.Errorf("%d starts", s.starts())
		}
		s.group.Stalled(time.Time{})
		time.Sleep(time.Hour)
		if s.starts() != 3 {
			t.Errorf("%d starts: the other one has answered", s.starts())
		}
		if exit := s.snapshot().CrashLoop.Exits[0]; !strings.Contains(exit.how(), "it answered nobody") {
			t.Errorf("it ended so: %v", exit.how())
		}
	})
}

// Off is off.
func TestStallWithoutKill(t *testing.T) {
	superviseAs(t, Config{}, time.Minute, healthy, func(s *script, _ string) {
		s.group.Stalled(time.Now())
		time.Sleep(24 * time.Hour)
		s.wantStarts(t, 1)
	})
}

// A request that takes too long has its child replaced; others finish there.
func TestMaxTime(t *testing.T) {
	superviseAs(t, Config{MaxTime: 5 * time.Minute, StallKill: 10 * time.Second, DumpSignal: 3}, time.Minute, healthy, func(s *script, _ string) {
		s.allow(2)
		s.mu.Lock()
		s.inFlight = []Request{{Method: "GET", Path: "/ok", Age: time.Second}, {Method: "POST", Path: "/report", Age: 301 * time.Second}}
		first := s.alive[0]
		s.mu.Unlock()
		s.keepBusy("app-0", time.Hour)
		time.Sleep(2 * time.Second)
		s.mu.Lock()
		s.inFlight = nil
		s.mu.Unlock()
		s.wantCalls(t, "add app-0, add app-1, drain app-0")
		time.Sleep(12 * time.Second)
		synctest.Wait()
		if !first.dumped.Load() || !isClosed(first.exited) || s.states() != "serving" {
			t.Errorf("dumped %v, %s", first.dumped.Load(), s.states())
		}
		s.wantLog(t, "POST /report 5m1s", "reason=max_time")
		time.Sleep(time.Hour)
	})
}

// A child that is not ready in time is ended.
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

// With an instance less than there are, those that work are kept.
func TestShrinkKeepsWhatWorks(t *testing.T) {
	superviseAs(t, Config{MaxInstances: 2, Workers: 1}, 0, func(n int) behaviour {
		switch n {
		case 0:
			return behaviour{serves: time.Second, ready: time.Millisecond, lives: 30 * time.Second}
		case 1:
			return healthy(n)
		}
		return behaviour{lives: 10 * time.Millisecond}
	}, func(s *script, _ string) {
		s.allow(2)
		s.setLoad(1, 1)
		time.Sleep(15 * time.Second)
		s.setLoad(0, 0)
		s.wantStates(t, "serving serving")
		time.Sleep(3 * time.Minute)
		if !strings.Contains(s.states(), "serving") {
			t.Errorf("%s, told %s", s.states(), s.frontCalls())
		}
	})
}

// One that there is no room for goes first.
func TestShrinkWithoutRoom(t *testing.T) {
	superviseAs(t, Config{MaxInstances: 2, Workers: 1, Memory: Memory{Total: 250 * mib}}, 0, func(n int) behaviour {
		l := healthy(n)
		if l.memory = 100 * mib; n == 1 {
			l.memory, l.lives = 120*mib, 20*time.Second
		}
		return l
	}, func(s *script, _ string) {
		s.allow(2)
		s.setLoad(1, 1)
		time.Sleep(20 * time.Second)
		s.sup.call(func() { s.sup.plan.Memory.Total = 150 * mib }) // as if others had come to need it
		time.Sleep(20 * time.Second)
		if s.states() != "serving waiting" {
			t.Fatalf("%s\n%s", s.states(), s.logged())
		}
		s.setLoad(0, 0)
		time.Sleep(5 * time.Minute)
		if s.states() != "serving" || !strings.HasSuffix(s.frontCalls(), "remove app-1") {
			t.Errorf("%s, told %s", s.states(), s.frontCalls())
		}
	})
}
