package pool

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
	"github.com/sluice-proxy/sluice/bridge/internal/seeds"
)

// TestRandomLife plays random lives of a pool - requests that come, leave, end
// well and badly, dials that succeed, fail and find the backlog full, time that
// passes - and checks after every step what always holds.
func TestRandomLife(t *testing.T) {
	for seed := range seeds.Of(t, 60) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			m := newModel(t, rng)
			for range 300 {
				m.step()
				m.check()
			}
			m.finish()
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// model is a pool and all that goes on around it.
type model struct {
	t       *testing.T
	rng     *rand.Rand
	pool    *Pool
	dials   chan modelDial // dials under way that wait for their result
	waiting []*leasing
	leases  []*Lease
	opened  []*fcgitest.Conn // the application's ends
	crowd   *crowd
}

type modelDial struct {
	result chan dialed
	ctx    context.Context
}

func newModel(t *testing.T, rng *rand.Rand) *model {
	m := &model{t: t, rng: rng, dials: make(chan modelDial, 1000)}
	m.crowd = newCrowd(t, rng, 1+rng.IntN(4))
	var list []Instance
	for i := range 1 + rng.IntN(3) {
		list = append(list, m.crowd.instance(Instance{Addr: string(rune('a' + i)), Dial: m.dial}))
	}
	m.pool = newPool(t, Config{
		Instances: list[:rng.IntN(len(list)+1)], Workers: m.crowd.workers,
		DialTimeout: 4 * time.Second, WaitTimeout: 10 * time.Second, IdleTimeout: 2 * time.Second,
		ClosesIdle: rng.IntN(2) == 0,
	})
	m.crowd.pool = m.pool
	return m
}

func (m *model) dial(ctx context.Context) (net.Conn, error) {
	d := modelDial{make(chan dialed, 1), ctx}
	m.dials <- d
	select {
	case r := <-d.result:
		return r.conn, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// step does one thing and lets everybody do what follows from it.
func (m *model) step() {
	switch n := m.rng.IntN(109); {
	case n < 30:
		m.lease(Demand{})
	case n < 33:
		m.lease(Demand{Fresh: true})
	case n < 38:
		m.lease(Demand{NoReplay: true})
	case n < 45:
		if len(m.waiting) > 0 {
			m.waiting[m.rng.IntN(len(m.waiting))].cancel()
		}
	case n < 70:
		m.release()
	case n < 95:
		m.answerDial()
	case n < 100:
		time.Sleep(time.Duration(m.rng.IntN(3000)) * time.Millisecond)
	case n < 106:
		m.crowd.change(func(Instance) bool { return true })
	default:
		m.crowd.configure(func(cfg *Config) { cfg.KeepAlive = KeepAlive(m.rng.IntN(3)) })
	}
	if m.rng.IntN(4) > 0 {
		m.settle()
	}
}

// lease has a request come, which waits in a goroutine or without one.
func (m *model) lease(d Demand) {
	start := startLeasing
	if m.rng.IntN(2) == 0 {
		start = startLeaseFunc
	}
	m.waiting = append(m.waiting, start(m.pool, d))
}

// release ends a random lease, well or badly, perhaps after its client has left.
func (m *model) release() {
	if len(m.leases) == 0 {
		return
	}
	i := m.rng.IntN(len(m.leases))
	l := m.leases[i]
	m.leases = append(m.leases[:i], m.leases[i+1:]...)
	if m.rng.IntN(4) == 0 {
		l.MarkAbandoned()
	}
	l.ended, l.sent = m.rng.IntN(4) > 0, true
	l.Release()
}

// answerDial lets a dial end, unless there is none.
func (m *model) answerDial() {
	select {
	case d := <-m.dials:
		if d.ctx.Err() != nil {
			return // its time was over
		}
		switch m.rng.IntN(6) {
		case 0:
			d.result <- dialed{err: syscall.EAGAIN}
		case 1:
			d.result <- dialed{err: errors.New("no route to host")}
		default:
			near, far := fcgitest.Pipe()
			m.opened = append(m.opened, far)
			d.result <- dialed{conn: near}
		}
	default:
	}
}

// settle waits until nothing more happens without time passing, and notes which requests
// have got a lease.
func (m *model) settle() {
	synctest.Wait()
	var still []*leasing
	for _, g := range m.waiting {
		switch {
		case !g.ended():
			still = append(still, g)
		case g.lease != nil:
			m.leases = append(m.leases, g.lease)
		}
	}
	m.waiting = still
	m.checkSettled()
}

// check holds at every moment.
func (m *model) check() {
	p := m.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	checkCapacity(m.t, p)
	m.crowd.check()
	for _, in := range m.crowd.all() {
		if len(in.idle) != in.count[idle] {
			m.t.Fatalf("%s: %d kept, %d counted as idle", in.Addr, len(in.idle), in.count[idle])
		}
		for s, n := range in.count {
			if n < 0 {
				m.t.Fatalf("%s: count[%d] is %d", in.Addr, s, n)
			}
		}
		if in.zombies > in.count[busy] || in.zombies < 0 {
			m.t.Fatalf("%s: %d zombies among %d busy", in.Addr, in.zombies, in.count[busy])
		}
		for _, c := range in.idle {
			if c.uses == 0 {
				m.t.Fatalf("%s keeps a connection that was never used", in.Addr)
			}
		}
	}
}

// checkSettled holds when nothing happens: the pool's counts are right, and no request waits
// that could be served.
func (m *model) checkSettled() {
	p := m.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	total := 0
	for _, in := range m.crowd.all() {
		total += in.count[busy]
		m.crowd.checkKept(in)
		if in.count[closing] != 0 {
			m.t.Fatalf("%s: %d connections are being closed for ever", in.Addr, in.count[closing])
		}
	}
	if total != len(m.leases) {
		m.t.Fatalf("%d busy connections, %d leases out", total, len(m.leases))
	}
	if p.waiters.Len() != len(m.waiting) {
		m.t.Fatalf("%d waiters, %d requests wait", p.waiters.Len(), len(m.waiting))
	}
	for e := p.waiters.Front(); e != nil; e = e.Next() {
		w := e.Value.(*waiter)
		if w.dial != nil {
			continue
		}
		for _, in := range p.instances {
			if p.eligible(w, in) && (in.roomFor(w) || len(in.idle) > 0) {
				m.t.Fatalf("%s has room (%v of %d) and somebody waits", in.Addr, in.count, m.crowd.workers)
			}
		}
	}
}

// finish lets everything end and looks for what was lost.
func (m *model) finish() {
	for len(m.waiting) > 0 || len(m.leases) > 0 {
		m.answerDial()
		m.release()
		m.settle()
		m.check()
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(time.Minute)
	synctest.Wait()
	m.crowd.finish()
	for _, in := range m.pool.Snapshot().Instances {
		if in.State == "down" {
			in.Dialing = 0 // the pool tries it
		}
		if in.Dialing+in.Busy+in.Idle+in.AtWork+in.Closing+in.Zombies != 0 {
			m.t.Errorf("left at the end: %+v", in)
		}
	}
	for i, c := range m.opened {
		if err := c.SetReadDeadline(time.Now()); err != nil {
			m.t.Fatal(err)
		}
		if _, err := c.Write([]byte{0}); err == nil {
			m.t.Errorf("connection %d was never closed", i)
		}
		c.Close()
	}
}
