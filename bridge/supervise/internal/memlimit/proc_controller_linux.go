package memlimit

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/session"
)

// procController reads /proc. It does not know descendants of a child that have made sessions of
// their own.
type procController struct {
	mu     sync.Mutex
	meters map[*procMeter]struct{}
	last   sample
}

// sample is what all sessions used at a time. All processes of the system are read for it, be it
// for one session or for all.
type sample struct {
	at   time.Time
	sums map[session.Session]uint64
}

// fresh is how long a sample is used.
const fresh = 500 * time.Millisecond

func newProcController() *procController {
	return &procController{meters: make(map[*procMeter]struct{})}
}

func (*procController) Kind() string { return "proc" }

func (ms *procController) Open(string) (Meter, error) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	m := &procMeter{all: ms}
	ms.meters[m] = struct{}{}
	return m, nil
}

// SetLimits has nothing to do: the caller compares the sizes with the limits.
func (*procController) SetLimits(Limits) (newOnly bool, err error) { return false, nil }

func (ms *procController) Used() (uint64, error) {
	s, err := ms.sample()
	var sum uint64
	for _, used := range s.sums {
		sum += used
	}
	return sum, err
}

// sample returns a fresh sample of all meters, and takes one if there is none. Open and Close do
// not wait for that, which may take a while.
func (ms *procController) sample() (sample, error) {
	of := ms.sessions()
	if s, ok := ms.freshOf(of); ok {
		return s, nil
	}
	s := sample{at: time.Now(), sums: make(map[session.Session]uint64, len(of))}
	if len(of) == 0 {
		return s, nil
	}
	found, err := session.Members(of...)
	if err != nil {
		return s, fmt.Errorf("memory of the command: %w", err)
	}
	for _, session := range of {
		s.sums[session] = 0
		for _, m := range found[session] {
			s.sums[session] += m.Memory()
		}
	}
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ms.last = s
	return s, nil
}

// freshOf is the last sample, if it is of these sessions, and fresh.
func (ms *procController) freshOf(of []session.Session) (sample, bool) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	known := func(s session.Session) bool { _, ok := ms.last.sums[s]; return ok }
	same := len(of) == len(ms.last.sums) && !slices.ContainsFunc(of, func(s session.Session) bool { return !known(s) })
	return ms.last, same && time.Since(ms.last.at) < fresh
}

func (ms *procController) sessions() []session.Session {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	var of []session.Session
	for m := range ms.meters {
		of = append(of, m.sessions()...)
	}
	return of
}

func (ms *procController) Close() error {
	return endSessions(ms.sessions())
}

// procMeter is the session of a child.
type procMeter struct {
	all *procController

	mu      sync.Mutex
	session session.Session // zero: no child has entered, or all processes have ended
}

func (m *procMeter) Enter(pid int) error {
	_, start, err := session.Identity(pid)
	if err != nil {
		return fmt.Errorf("memory of process %d: %w", pid, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.session = session.Session{Leader: pid, Start: start}
	return nil
}

// sessions is the session, if there is one.
func (m *procMeter) sessions() []session.Session {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.session == (session.Session{}) {
		return nil
	}
	return []session.Session{m.session}
}

func (m *procMeter) Used() (uint64, error) {
	s, err := m.all.sample()
	if err != nil {
		return 0, err
	}
	var sum uint64
	for _, session := range m.sessions() {
		sum += s.sums[session]
	}
	return sum, nil
}

func (m *procMeter) OOMKills() uint64 { return 0 } // not known

func (m *procMeter) Kill() error {
	err := endSessions(m.sessions())
	if err == nil {
		m.forget()
	}
	return err
}

// forget forgets a session whose processes have ended: the ids are used again.
func (m *procMeter) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.session = session.Session{}
}

func (m *procMeter) Close() error {
	m.all.mu.Lock()
	defer m.all.mu.Unlock()
	delete(m.all.meters, m)
	return nil
}

func endSessions(of []session.Session) error {
	if len(of) == 0 {
		return nil
	}
	return session.KillAll(func() ([]int, error) {
		found, err := session.Members(of...)
		var pids []int
		for _, all := range found {
			for _, m := range all {
				pids = append(pids, m.PID)
			}
		}
		return pids, err
	})
}
