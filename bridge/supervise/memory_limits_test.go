package supervise

import (
	"strings"
	"testing"
	"time"
)

// A child above the soft limit is replaced, one above the hard limit is killed.
func TestMemoryLimits(t *testing.T) {
	fat := func(used uint64) func(n int) behaviour {
		return func(n int) behaviour {
			l := healthy(n)
			if l.memory = 10 * mib; n == 0 {
				l.memory = used
			}
			return l
		}
	}
	limits := Memory{Soft: 50 * mib, Hard: 100 * mib}
	superviseAs(t, Config{Memory: limits}, 0, fat(60*mib), func(s *script, _ string) {
		s.allow(2)
		time.Sleep(10 * time.Second)
		s.wantCalls(t, "add app-0, add app-1, drain app-0, remove app-0")
		s.wantLog(t, "reason=memory_soft")
	})
	superviseAs(t, Config{Memory: limits}, 10*time.Second, fat(110*mib), func(s *script, log string) {
		if s.starts() != 2 || s.frontCalls() != "add app-0" {
			t.Errorf("%d starts, told %s", s.starts(), s.frontCalls())
		}
		s.wantLog(t, "uses too much memory", "more memory than the hard limit")
	})
}

// When the kernel has killed a process of a child, the child is killed.
func TestWorkerIsKilledByTheKernel(t *testing.T) {
	superviseAs(t, Config{Memory: Memory{Hard: 100 * mib}}, 10*time.Second, func(n int) behaviour {
		l := healthy(n)
		if l.memory = 90 * mib; n == 0 {
			l.oomKills = 1
		}
		return l
	}, func(s *script, log string) {
		if s.starts() != 2 || !strings.Contains(log, "because there was no memory") || s.snapshot().Exits["memory"] != 1 {
			t.Errorf("%d starts\n%s", s.starts(), log)
		}
	})
}

// When all use too much together, the largest child is killed.
func TestMemoryTotal(t *testing.T) {
	superviseAs(t, Config{Memory: Memory{Total: 100 * mib}, Instances: 2}, 5*time.Second, func(n int) behaviour {
		l := healthy(n)
		l.memory = uint64(20+n*10) * mib
		return l
	}, func(s *script, _ string) {
		s.sup.call(func() { s.used = 120 * mib })
		time.Sleep(1100 * time.Millisecond)
		s.sup.call(func() { s.used = 60 * mib })
		time.Sleep(10 * time.Second)
		exits := s.snapshot().CrashLoop.Exits
		if len(exits) != 1 || exits[0].PID != 1001 {
			t.Errorf("exits are %+v", exits)
		}
	})
}

// No child is started beyond the total, but if none runs, one is.
func TestNoRoom(t *testing.T) {
	superviseAs(t, Config{Memory: Memory{Total: 100 * mib}, MaxInstances: 3, Workers: 1}, 5*time.Second, func(n int) behaviour {
		l := healthy(n)
		l.memory = 60 * mib
		if n == 0 {
			l.lives = 10 * time.Minute
		}
		return l
	}, func(s *script, _ string) {
		s.sup.call(func() { s.used = 60 * mib })
		s.setLoad(1, 5)
		time.Sleep(time.Minute)
		if s.starts() != 1 || strings.Count(s.logged(), "no memory for one more process") != 1 {
			t.Errorf("%d starts\n%s", s.starts(), s.logged())
		}
		s.setLoad(0, 0)
		time.Sleep(10 * time.Minute)
		if s.starts() != 2 {
			t.Errorf("%d starts: nothing runs, and there is always room for one", s.starts())
		}
		// There is no memory for the old and the new child together.
		s.mustRestart(t)
		s.wantCalls(t, "add app-0, drain app-0, resume app-0")
	})
}

// After an exit there is memory for the next child at once.
func TestRoomAfterAnExit(t *testing.T) {
	superviseAs(t, Config{Instances: 2, Memory: Memory{Total: 1000 * mib}}, 33*time.Second, func(n int) behaviour {
		l := healthy(n)
		if l.memory = 450 * mib; n == 0 {
			l.lives = 30500 * time.Millisecond
		}
		return l
	}, func(s *script, log string) {
		if s.starts() != 3 || strings.Contains(log, "no memory") {
			t.Errorf("%d starts\n%s", s.starts(), log)
		}
	})
}

// weighing is a script in which the total takes a while to read.
type weighing struct{ *script }

func (w weighing) memory() (used uint64, known bool) {
	used, known = w.script.memory()
	time.Sleep(700 * time.Millisecond)
	return used, known
}

// While a child that was killed for the total gives its memory back, no other is killed, nor for
// a sample of before.
func TestMemoryTotalKillsOne(t *testing.T) {
	superviseAs(t, Config{Instances: 2, Memory: Memory{Total: 1400 * mib}}, 0, func(n int) behaviour {
		l := healthy(n)
		l.memory = []uint64{900, 600, 100}[min(n, 2)] * mib
		l.groupEnds = 3500 * time.Millisecond
		return l
	}, func(s *script, _ string) {
		s.sup.call(func() { s.sup.program = weighing{s} })
		time.Sleep(30 * time.Second)
		log := s.logged()
		if exits := s.snapshot().CrashLoop.Exits; len(exits) != 1 || exits[0].PID != 1000 || exits[0].Cause != overTotalLimit || s.starts() != 3 {
			t.Errorf("exits are %+v, %d starts\n%s", exits, s.starts(), log)
		}
	})
}

// A peak does not count for as many samples as fail after it.
func TestSoftLimitOfAnUnknownSize(t *testing.T) {
	superviseAs(t, Config{Memory: Memory{Soft: 100 * mib}}, time.Minute, healthy, func(s *script, _ string) {
		s.allow(2)
		sample := func(used uint64, known bool) (marked bool) {
			s.sup.call(func() {
				in := s.sup.instances[0]
				s.sup.noteMemory(memorySample{children: []childMemory{{child: in.child, used: used, known: known}}})
				s.sup.checkMemory(time.Now())
				marked = in.replaceReason != ""
			})
			return marked
		}
		if sample(200*mib, true) || sample(0, false) || sample(0, false) {
			t.Error("it is replaced for one sample")
		}
		if !sample(200*mib, true) {
			t.Error("it is not replaced for two samples")
		}
	})
}
