package supervise

import (
	"strings"
	"testing"
	"time"
)

// wantCalls checks what Front was told, call by call.
func (s *script) wantCalls(t *testing.T, want string) {
	t.Helper()
	if got := s.frontCalls(); got != want {
		t.Errorf("the calls of Front are %s, want %s", got, want)
	}
}

func (s *script) wantStates(t *testing.T, want string) {
	t.Helper()
	if got := s.states(); got != want {
		t.Errorf("the instances are %s, want %s\n%s", got, want, s.logged())
	}
}

// wantStarts checks how many children were started.
func (s *script) wantStarts(t *testing.T, want int) {
	t.Helper()
	if got := s.starts(); got != want {
		t.Errorf("%d starts, want %d", got, want)
	}
}

func (s *script) wantLog(t *testing.T, texts ...string) {
	t.Helper()
	log := s.logged()
	for _, text := range texts {
		if !strings.Contains(log, text) {
			t.Errorf("the log lacks %q:\n%s", text, log)
		}
	}
}

// child is the nth child, which is alive.
func (s *script) child(n int) *scripted {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.alive[n]
}

// killAll ends all children.
func (s *script) killAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.alive {
		c.Kill()
	}
}

func (s *script) mustRestart(t *testing.T) {
	t.Helper()
	if err := s.restart(); err != nil {
		t.Fatal(err)
	}
}

// inTurn gives each child the next behaviour, and the last one to all others.
func inTurn(list ...behaviour) func(n int) behaviour {
	return func(n int) behaviour { return list[min(n, len(list)-1)] }
}

// healthy is a child that serves for ever.
func healthy(int) behaviour { return behaviour{serves: time.Second, ready: 300 * time.Millisecond} }

func (s *script) frontCalls() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.calls, ", ")
}

// states lists the states of the instances.
func (s *script) states() string {
	var all []string
	for _, shot := range s.snapshot().Instances {
		all = append(all, shot.State)
	}
	return strings.Join(all, " ")
}

func (s *script) restart() error {
	done := make(chan error, 1)
	s.sup.calls <- func() { s.sup.restart(done) }
	return <-done
}

func (s *script) setLoad(inFlight, waiting int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.load = Load{inFlight, waiting}
}
