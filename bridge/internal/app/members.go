package app

import (
	"context"
	"sync"

	"github.com/sluice-proxy/sluice/bridge/pool"
)

// members are the instances of an application that runs already: those that are configured,
// and those that were, until the last request has left them.
type members struct {
	pool  *pool.Pool
	hooks *Hooks

	mu      sync.Mutex
	names   map[address]string             // by which the pool knows an instance
	leaving map[address]context.CancelFunc // stops the wait for its last request
	waits   sync.WaitGroup
}

func newMembers(p *pool.Pool, hooks *Hooks, backends []string) *members {
	m := &members{pool: p, hooks: hooks, names: make(map[address]string), leaving: make(map[address]context.CancelFunc)}
	for _, name := range backends {
		m.names[addressOf(name)] = name
	}
	return m
}

// set makes those at backends the configured ones. An instance keeps the name that it was added
// with, however it is written now. If it fails, nothing is changed.
func (m *members) set(backends []string) error {
	list, err := m.hooks.instances(backends)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	wanted := make(map[address]bool)
	var added []address
	for _, in := range list {
		a := addressOf(in.Addr)
		wanted[a] = true
		if _, here := m.names[a]; here {
			continue
		}
		if err := m.add(a, in); err != nil {
			for _, a := range added {
				m.retire(a)
			}
			return err
		}
		added = append(added, a)
	}
	for a := range m.names {
		if !wanted[a] && m.leaving[a] == nil {
			m.retire(a)
		}
	}
	for a := range m.leaving {
		if wanted[a] {
			m.stay(a)
		}
	}
	return nil
}

func (m *members) add(a address, in pool.Instance) error {
	if err := m.pool.Add(in); err != nil {
		return err
	}
	m.names[a] = in.Addr
	return nil
}

// retire removes an instance when its last request has left it.
func (m *members) retire(a address) {
	ctx, cancel := context.WithCancel(context.Background())
	m.leaving[a] = cancel
	name := m.names[a]
	drained := m.pool.Drain(name)
	m.waits.Go(func() {
		select {
		case <-drained:
		case <-ctx.Done():
			return
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if ctx.Err() != nil {
			return // it stays, after all
		}
		cancel()
		m.pool.Remove(name)
		delete(m.names, a)
		delete(m.leaving, a)
	})
}

// stay undoes retire.
func (m *members) stay(a address) {
	m.leaving[a]()
	delete(m.leaving, a)
	m.pool.Resume(m.names[a])
}

// name is how the pool knows a configured instance.
func (m *members) name(backend string) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := addressOf(backend)
	name, here := m.names[a]
	return name, here && m.leaving[a] == nil
}

// close ends what waits for last requests.
func (m *members) close() {
	m.mu.Lock()
	for _, cancel := range m.leaving {
		cancel()
	}
	m.mu.Unlock()
	m.waits.Wait()
}
