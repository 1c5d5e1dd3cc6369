package app

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// ErrNotStarted is what Restart returns before Start.
var ErrNotStarted = errors.New("the application was not started yet")

// spawned is the supervisor of processes that may not have been started yet. Until then
// nothing is known of them, and requests wait for the first.
type spawned struct {
	command    string
	supervisor atomic.Pointer[Supervisor] // nil: not started

	mu    sync.Mutex // held while that is decided
	ended bool       // they are not started any more
}

// start starts the processes, once.
func (s *spawned) start(with func() (Supervisor, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.supervisor.Load() != nil {
		return nil
	}
	k, err := with()
	if err == nil {
		s.supervisor.Store(&k)
	}
	return err
}

// get is the supervisor, nil if there is none yet.
func (s *spawned) get() Supervisor {
	if k := s.supervisor.Load(); k != nil {
		return *k
	}
	return nil
}

func (s *spawned) Answered(addr, route string) {
	if k := s.get(); k != nil {
		k.Answered(addr, route)
	}
}

func (s *spawned) Lost(addr string, r supervise.Request) {
	if k := s.get(); k != nil {
		k.Lost(addr, r)
	}
}

func (s *spawned) Wanted() {
	if k := s.get(); k != nil {
		k.Wanted()
	}
}

func (s *spawned) Stalled(began time.Time) {
	if k := s.get(); k != nil {
		k.Stalled(began)
	}
}

func (s *spawned) Refusing() (time.Duration, bool) {
	if k := s.get(); k != nil {
		return k.Refusing()
	}
	return 0, false
}

func (s *spawned) Quarantined(route string) (time.Duration, bool) {
	if k := s.get(); k != nil {
		return k.Quarantined(route)
	}
	return 0, false
}

func (s *spawned) Restart(ctx context.Context) error {
	if k := s.get(); k != nil {
		return k.Restart(ctx)
	}
	return ErrNotStarted
}

// Prepare has nothing to do before start, which goes by what holds then.
func (s *spawned) Prepare(cfg supervise.Config) (commit, cancel func(), err error) {
	if k := s.get(); k != nil {
		return k.Prepare(cfg)
	}
	return func() {}, func() {}, nil
}

func (s *spawned) ExpectReady() {
	if k := s.get(); k != nil {
		k.ExpectReady()
	}
}

func (s *spawned) Snapshot() supervise.Snapshot {
	if k := s.get(); k != nil {
		return k.Snapshot()
	}
	return s.QuickSnapshot()
}

// QuickSnapshot is Snapshot without what the processes use.
func (s *spawned) QuickSnapshot() supervise.Snapshot {
	if k := s.get(); k != nil {
		return k.QuickSnapshot()
	}
	return supervise.Snapshot{Command: s.command, Breaker: "closed"}
}

func (s *spawned) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	if k := s.get(); k != nil {
		return k.Close()
	}
	return nil
}
