package supervise

import (
	"testing"
	"time"
)

// draining fails unless the only instance is draining, and its child alive.
func (s *script) draining(t *testing.T) {
	t.Helper()
	if s.states() != "draining" || s.living() != 1 {
		t.Errorf("%s, %d live, told %s; want one that is drained", s.states(), s.living(), s.frontCalls())
	}
}

// When a draining child exits, the drain of the next child begins anew.
func TestExitWhileDraining(t *testing.T) {
	superviseAs(t, Config{Listen: "127.0.0.1:9000"}, time.Minute, healthy, func(s *script, _ string) {
		s.keepBusy("app-0", 20*time.Second)
		for range 2 {
			s.sup.calls <- func() { s.sup.restart(make(chan error, 1)) }
			time.Sleep(time.Second)
			s.draining(t)
			s.killAll()
			time.Sleep(time.Minute)
		}
		if s.states() != "serving" || s.starts() != 3 {
			t.Errorf("%s, %d starts", s.states(), s.starts())
		}
	})
}

// So does the drain of the next child if a child has exited before it was drained.
func TestExitBeforeDraining(t *testing.T) {
	superviseAs(t, Config{IdleShutdown: 10 * time.Second}, 15*time.Second, inTurn(behaviour{lives: 9800 * time.Millisecond}, healthy(0)), func(s *script, _ string) {
		s.group.Wanted()
		time.Sleep(2 * time.Second)
		s.keepBusy("app-0", time.Minute)
		time.Sleep(10 * time.Second)
		s.draining(t)
		time.Sleep(time.Hour)
	})
}
