package supervise

import (
	"strings"
	"testing"
	"time"
)

// A crash loop is over when no child crashes any more, even if children are replaced often.
func TestCrashLoopEndsWhileChildrenAreReplaced(t *testing.T) {
	superviseAs(t, Config{MaxLifetime: 30 * time.Second}, 0, func(n int) behaviour {
		if n < 4 {
			return behaviour{serves: 100 * time.Millisecond, lives: time.Second}
		}
		return behaviour{serves: 2 * time.Second, ready: time.Millisecond}
	}, func(s *script, _ string) {
		s.allow(2)
		time.Sleep(time.Hour)
		log := s.logged()
		if on := s.snapshot().CrashLoop.Active; on || strings.Count(log, "the crash loop goes on") > 2 || strings.Count(log, "the crash loop is over") != 1 {
			t.Errorf("on %v:\n%s", on, log[:min(len(log), 3000)])
		}
	})
}

// An instance that there is no memory for does not prolong a crash loop.
func TestCrashLoopEndsWithoutRoom(t *testing.T) {
	superviseAs(t, Config{Instances: 3, Memory: Memory{Total: 250 * mib}}, 0, func(n int) behaviour {
		l := healthy(n)
		if l.memory = 100 * mib; n > 2 && n < 6 {
			l.lives = 2 * time.Second
		}
		return l
	}, func(s *script, _ string) {
		time.Sleep(5 * time.Second)
		s.killAll()
		time.Sleep(10 * time.Minute)
		if log := s.logged(); s.snapshot().CrashLoop.Active || s.living() != 2 || strings.Count(log, "a crash loop begins") != 1 {
			t.Errorf("%s, %d live:\n%s", s.states(), s.living(), log)
		}
	})
}

// Of the broken instances only the one that is tried again is unstable.
func TestStableWhileBroken(t *testing.T) {
	for _, tc := range []struct {
		next     time.Time
		roomless bool
		want     bool
	}{{want: true}, {next: epoch}, {next: epoch, roomless: true, want: true}} {
		in := &instance{machine: &machine{state: stateBroken, next: tc.next}, noRoom: tc.roomless}
		if calm := in.isStable(epoch); calm != tc.want {
			t.Errorf("%+v: calm %v", tc, calm)
		}
	}
}
