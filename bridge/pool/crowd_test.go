package pool

import (
	"context"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"
)

// crowd is the instances of a pool in a random life, which come and go.
type crowd struct {
	t       *testing.T
	rng     *rand.Rand
	pool    *Pool
	ever    []Instance // that there may be
	gone    []*instance
	counted Counters // so far

	workers int               // Config.Workers now
	most    int               // the most that they may become
	used    map[*instance]int // what each used of its budget at the last check
}

func newCrowd(t *testing.T, rng *rand.Rand, workers int) *crowd {
	return &crowd{t: t, rng: rng, workers: workers, most: workers + rng.IntN(3), used: make(map[*instance]int)}
}

// configure has the pool go by other bounds.
func (m *crowd) configure(change func(*Config)) {
	cfg := *m.pool.config()
	if m.rng.IntN(3) > 0 {
		cfg.Workers = 1 + m.rng.IntN(m.most)
	}
	cfg.IdleTimeout = time.Duration(1+m.rng.IntN(5)) * time.Second
	change(&cfg)
	// Like Configure, with a check in the same critical section: what has changed since the
	// last check was bounded by the old Config.
	m.pool.mu.Lock()
	m.check()
	err := m.pool.configure(cfg)
	m.pool.unlock()
	if err != nil {
		m.t.Error(err)
	}
	m.workers = cfg.Workers
}

// checkBudget looks at an instance's budget. One that was larger is left as requests
// end, and what is unused then is not kept.
func (m *crowd) checkBudget(in *instance) {
	if in.used() > max(m.workers, m.used[in]) {
		m.t.Errorf("%s: %v and %d extra, %d workers, were %d", in.Addr, in.count, in.extra, m.workers, m.used[in])
	}
	if in.used()-in.count[closing] > m.workers && len(in.idle) > 0 {
		m.t.Errorf("%s keeps connections: %v and %d extra, %d workers", in.Addr, in.count, in.extra, m.workers)
	}
	if o := in.observed; o.now < 1 || in.membership != removed && o.now > m.workers || o.proven < 1 || o.proven > m.most || o.answering < 0 || o.answering > in.conns() {
		m.t.Errorf("%s: %+v, %d workers", in.Addr, o, m.workers)
	}
	if m.pool.config().KeepAlive == KeepOff && len(in.idle) > 0 {
		m.t.Errorf("%s keeps %d connections for one request each", in.Addr, len(in.idle))
	}
	if k := in.keep; (k.state == keepTrial) != (k.trialConn != nil) || k.trialConn != nil && k.trialConn.state != idle && k.trialConn.state != querying || k.trialDial != nil && k.state != keepTrial {
		m.t.Errorf("%s: keep-alive %+v", in.Addr, k)
	}
	m.used[in] = in.used()
}

// checkKept looks at what an instance keeps, when nothing is going on.
func (m *crowd) checkKept(in *instance) {
	if m.pool.config().KeepAlive == KeepAuto && in.keep.state == keepRefused && in.hasExclusiveIdle() {
		m.t.Errorf("%s keeps connections, and is known not to take that: %s", in.Addr, in.keep.why)
	}
}

// instance returns one that is never connected to but while it serves.
func (m *crowd) instance(in Instance) Instance {
	dial := in.Dial
	in.Dial = func(ctx context.Context) (net.Conn, error) {
		m.pool.mu.Lock()
		if found := m.pool.find(in.Addr); ctx.Err() == nil && (found == nil || found.membership != serving) {
			m.t.Errorf("a dial to %s, which does not serve", in.Addr)
		}
		m.pool.mu.Unlock()
		return dial(ctx)
	}
	m.ever = append(m.ever, in)
	return in
}

// change has an instance come, if it may, or go.
func (m *crowd) change(mayCome func(Instance) bool) {
	in := m.ever[m.rng.IntN(len(m.ever))]
	m.pool.mu.Lock()
	found := m.pool.find(in.Addr)
	m.pool.mu.Unlock()
	if found == nil {
		if mayCome(in) {
			mustAdd(m.t, m.pool, in)
		}
		return
	}
	drains := found.membership == draining
	switch n := m.rng.IntN(10); {
	case n == 0:
		m.pool.Fail(in.Addr)
	case n < 3, n < 6 && drains:
		m.gone = append(m.gone, found)
		m.pool.Remove(in.Addr)
	case drains:
		m.pool.Resume(in.Addr)
	default:
		m.pool.Drain(in.Addr)
	}
}

// all is every instance that there is or was.
func (m *crowd) all() []*instance { return slices.Concat(m.pool.instances, m.pool.draining, m.gone) }

// check holds at every moment. The caller holds the pool's mutex.
func (m *crowd) check() {
	p := m.pool
	total := p.removedCounters.clone()
	for _, in := range m.all() {
		sum := 0
		for _, n := range in.count {
			sum += n
		}
		if len(in.all) != sum {
			m.t.Errorf("%s: %d connections, %d counted", in.Addr, len(in.all), sum)
		}
		if serves := in.membership == serving; serves != slices.Contains(p.instances, in) || serves == (in.ctx.Err() != nil) || serves != (in.drained == nil) && in.membership != removed {
			m.t.Errorf("%s: membership %d, dials end: %v", in.Addr, in.membership, in.ctx.Err())
		}
		m.checkBudget(in)
		switch in.membership {
		case removed:
			if in.counters != p.removedCounters {
				m.t.Errorf("%s counts for itself", in.Addr)
			}
		case draining:
			if isClosed(in.drained) != (in.used() == 0) || !slices.Contains(p.draining, in) {
				m.t.Errorf("%s: uses %d, drained: %v", in.Addr, in.used(), isClosed(in.drained))
			}
			fallthrough
		default:
			total.add(in.counters)
		}
		if in.membership != serving && len(in.idle) > 0 {
			m.t.Errorf("%s keeps %d connections", in.Addr, len(in.idle))
		}
	}
	if total.Dials < m.counted.Dials || total.Discarded < m.counted.Discarded || total.Reuses < m.counted.Reuses {
		m.t.Errorf("counters fell from %+v to %+v", m.counted, total)
	}
	m.counted = total
	for e := p.waiters.Front(); e != nil; e = e.Next() {
		if w := e.Value.(*waiter); w.dial != nil && w.dial.conn.inst.membership != serving {
			m.t.Errorf("somebody waits for a dial to %s", w.dial.conn.inst.Addr)
		}
	}
}

// finish looks for what is left of removed instances when nothing is in use.
func (m *crowd) finish() {
	m.pool.mu.Lock()
	defer m.pool.mu.Unlock()
	for _, in := range slices.Concat(m.pool.draining, m.gone) {
		if in.used() != 0 || in.zombies != 0 {
			m.t.Errorf("left of %s at the end: %v, %d zombies", in.Addr, in.count, in.zombies)
		}
	}
}
