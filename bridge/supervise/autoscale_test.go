package supervise

import (
	"strings"
	"testing"
	"time"
)

// While requests wait, more instances are started. When few requests are left, they are stopped
// one after the other.
func TestAutoscale(t *testing.T) {
	superviseAs(t, Config{MaxInstances: 3, Workers: 4}, time.Minute, healthy, func(s *script, _ string) {
		s.allow(3)
		s.setLoad(4, 1)
		time.Sleep(3 * time.Second)
		s.setLoad(4, 0) // for a moment only
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
		s.setLoad(7, 0) // more than three quarters of two instances
		time.Sleep(10 * time.Minute)
		s.wantCalls(t, "add app-0, add app-1, add app-2")
		s.setLoad(3, 0)
		time.Sleep(10 * time.Minute)
		s.wantCalls(t, "add app-0, add app-1, add app-2, drain app-2, remove app-2, drain app-1, remove app-1")
	})
}

// More instances do not help against a crash loop.
func TestNoScaleUpInACrashLoop(t *testing.T) {
	superviseAs(t, Config{MaxInstances: 3}, time.Second, inTurn(behaviour{lives: time.Second}), func(s *script, _ string) {
		s.setLoad(1, 10)
		time.Sleep(time.Minute)
		if n := len(s.snapshot().Instances); n != 1 {
			t.Errorf("%d instances", n)
		}
	})
}

// Without requests no child runs. With the next request children are started.
// A request that comes while the child is drained, or ends, is served.
// In a long stall, the children that answer nothing are killed, after they wrote their stacks.
// Without StallKill no child is killed in a stall.
// A child that works on a request for too long is replaced; its other requests are finished.
// A child that is not ready in time is ended.
// Scaling down keeps the instances that serve.
func TestScaleDownKeepsServing(t *testing.T) {
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

// Scaling down first removes an instance that there is no memory for.
func TestScaleDownWithoutRoom(t *testing.T) {
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
		s.sup.call(func() { s.sup.plan.Memory.Total = 150 * mib }) // as if the other children had grown
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
