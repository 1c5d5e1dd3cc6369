package supervise

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

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
		if exit := s.snapshot().CrashLoop.Exits[0]; !strings.Contains(exit.how(), "it answered no request") {
			t.Errorf("it ended so: %v", exit.how())
		}
	})
}

func TestStallWithoutKill(t *testing.T) {
	superviseAs(t, Config{}, time.Minute, healthy, func(s *script, _ string) {
		s.group.Stalled(time.Now())
		time.Sleep(24 * time.Hour)
		s.wantStarts(t, 1)
	})
}

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
