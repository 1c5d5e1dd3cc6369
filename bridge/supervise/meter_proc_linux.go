package supervise

import (
	"fmt"
	"sync"
)

// procMeters looks at /proc. A descendant of a child that has made a session of its own is
// missed.
type procMeters struct {
	mu     sync.Mutex
	meters map[*procMeter]struct{}
}

func newProcMeters() *procMeters { return &procMeters{meters: make(map[*procMeter]struct{})} }

func (*procMeters) kind() string { return "proc" }

func (ms *procMeters) open(string) (meter, error) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	m := &procMeter{all: ms}
	ms.meters[m] = struct{}{}
	return m, nil
}

func (ms *procMeters) used() (uint64, error) { return usedBy(ms.sessions()) }

func (ms *procMeters) sessions() []session {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	var of []session
	for m := range ms.meters {
		of = append(of, m.sessions()...)
	}
	return of
}

func (ms *procMeters) close() error {
	return endSessions(ms.sessions())
}

// procMeter is a child's session.
type procMeter struct {
	all *procMeters

	mu      sync.Mutex
	session session // zero: nobody has entered, or all are dead
}

func (m *procMeter) enter(pid int) error {
	_, start, err := identity(pid)
	if err != nil {
		return fmt.Errorf("memory of process %d: %w", pid, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.session = session{pid, start}
	return nil
}

// sessions is the session, if there is one.
func (m *procMeter) sessions() []session {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.session == (session{}) {
		return nil
	}
	return []session{m.session}
}

func (m *procMeter) used() (uint64, error) { return usedBy(m.sessions()) }

func (m *procMeter) killed() uint64 { return 0 } // nobody tells

func (m *procMeter) kill() error {
	err := endSessions(m.sessions())
	if err == nil {
		m.forget()
	}
	return err
}

// forget is for when all are dead: the ids are used again.
func (m *procMeter) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.session = session{}
}

func (*procMeter) path() string { return "" }

func (m *procMeter) close() error {
	m.all.mu.Lock()
	defer m.all.mu.Unlock()
	delete(m.all.meters, m)
	return nil
}

func usedBy(of []session) (uint64, error) {
	if len(of) == 0 {
		return 0, nil
	}
	found, err := members(of...)
	if err != nil {
		return 0, fmt.Errorf("memory of the command: %w", err)
	}
	var sum uint64
	for _, all := range found {
		for _, m := range all {
			sum += m.memory()
		}
	}
	return sum, nil
}

func endSessions(of []session) error {
	if len(of) == 0 {
		return nil
	}
	return endAll(func() ([]int, error) {
		found, err := members(of...)
		var pids []int
		for _, all := range found {
			for _, m := range all {
				pids = append(pids, m.PID)
			}
		}
		return pids, err
	})
}
