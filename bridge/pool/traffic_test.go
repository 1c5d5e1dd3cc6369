package pool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
	"github.com/sluice-proxy/sluice/bridge/internal/seeds"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// TestRandomTraffic has a pool serve requests of every kind, on connections that are
// shared and that are not, with applications that go away, come back, refuse, turn
// away, stall and die, and checks after every step what always holds.
func TestRandomTraffic(t *testing.T) {
	for seed := range seeds.Of(t, 60) {
		inBubble(t, fmt.Sprint(seed), func(t *testing.T) {
			m := newTraffic(t, rand.New(rand.NewPCG(seed, 4)))
			for i := 0; i < 400 && !t.Failed(); i++ {
				m.step()
			}
			m.finish()
		})
	}
}

// traffic is a pool, its users and its applications.
type traffic struct {
	t       *testing.T
	rng     *rand.Rand
	pool    *Pool
	servers []*server
	users   []*user // whose request is not over
	made    int     // requests
	crowd   *crowd
	memory  *purse
}

func newTraffic(t *testing.T, rng *rand.Rand) *traffic {
	m := &traffic{t: t, rng: rng, crowd: newCrowd(t, rng, 1+rng.IntN(14)), memory: newPurse(rng.IntN(300_000))}
	cfg := Config{
		Workers:     m.crowd.workers,
		DialTimeout: 4 * time.Second, WaitTimeout: 10 * time.Second, SendTimeout: time.Second,
		IdleTimeout:    time.Duration(1+rng.IntN(5)) * time.Second,
		CloseDelay:     time.Duration(rng.IntN(2)) * 5 * time.Millisecond,
		ClosesWhenFull: rng.IntN(2) == 0, ClosesIdle: rng.IntN(3) == 0, KeepAlive: KeepAlive(rng.IntN(3)),
		WorksOn: rng.IntN(3) == 0, Memory: func() Memory { return m.memory },
		Multiplex: []Multiplex{MultiplexOff, MultiplexAuto, MultiplexAuto, MultiplexOn}[rng.IntN(4)],
	}
	if cfg.KeepAlive == KeepOff {
		cfg.Multiplex = MultiplexOff
	}
	for i := range 1 + rng.IntN(3) {
		s := &server{
			t: t, shares: rng.IntN(3) > 0, libfcgi: rng.IntN(2) == 0, forced: cfg.Multiplex == MultiplexOn, holds: m.crowd.workers, conns: make(map[*served]bool), read: make(map[string]bool), workers: m.crowd.most,
		}
		s.shares = s.shares && !s.libfcgi || s.forced
		s.locks = s.libfcgi && !s.shares && cfg.KeepAlive == KeepAuto && rng.IntN(2) == 0
		s.worksOn = cfg.WorksOn && !s.shares && !s.locks
		m.servers = append(m.servers, s)
		cfg.Instances = append(cfg.Instances, m.crowd.instance(Instance{Addr: string(rune('a' + i)), Dial: s.dial, Queue: s.queue, Unread: s.unread}))
	}
	m.pool = newPool(t, cfg)
	m.crowd.pool = m.pool
	return m
}

// step does one thing and lets everybody do what follows from it.
func (m *traffic) step() {
	s := m.servers[m.rng.IntN(len(m.servers))]
	switch n := m.rng.IntN(107); {
	case n < 38:
		m.begin()
	case n < 42:
		m.oneUser(func(u *user) { u.cancel() })
	case n < 47:
		m.oneUser((*user).giveUp)
	case n < 80:
		s.answer(m.rng)
	case n < 83:
		s.kill(m.rng)
	case n < 86:
		s.change(m.rng)
	case n < 96:
		time.Sleep(time.Duration(m.rng.IntN(60)) * time.Millisecond)
	case n < 99:
		time.Sleep(time.Duration(m.rng.IntN(5000)) * time.Millisecond)
	case n < 100:
		time.Sleep(time.Duration(m.rng.IntN(120)) * time.Second)
	case n < 103:
		m.crowd.configure(m.bounds)
	default:
		// What was cut may not have been noticed yet, and an address is not used again so soon.
		m.crowd.change(func(in Instance) bool { return m.servers[in.Addr[0]-'a'].open() == 0 })
	}
	if m.rng.IntN(4) > 0 {
		m.settle()
	}
	m.check()
}

// bounds draws what else there is to configure.
func (m *traffic) bounds(cfg *Config) {
	cfg.SendTimeout = time.Duration(m.rng.IntN(3)) * time.Second
	cfg.CloseDelay = time.Duration(m.rng.IntN(2)) * 5 * time.Millisecond
	if cfg.Multiplex == MultiplexOff {
		cfg.KeepAlive = KeepAlive(m.rng.IntN(3))
	}
}

// begin makes a request.
func (m *traffic) begin() {
	d := Demand{Buffered: m.rng.IntN(4) > 0, Body: m.rng.IntN(3) == 0, NoReplay: m.rng.IntN(3) == 0, Fresh: m.rng.IntN(8) == 0}
	ctx, cancel := context.WithCancel(context.Background())
	m.made++
	u := &user{t: m.t, servers: m.servers, demand: d, uri: fmt.Sprintf("/%d", m.made), cancel: cancel, patient: m.rng.IntN(2) == 0, nosy: m.rng.IntN(6) == 0, over: make(chan struct{})}
	m.users = append(m.users, u)
	if m.rng.IntN(2) == 0 {
		m.pool.LeaseFunc(ctx, d, func(l *Lease, err error) { go u.run(l, err) })
		return
	}
	go func() {
		l, err := m.pool.Lease(ctx, d)
		u.run(l, err)
	}()
}

func (m *traffic) oneUser(do func(*user)) {
	if len(m.users) > 0 {
		do(m.users[m.rng.IntN(len(m.users))])
	}
}

// settle waits until nothing more happens without time passing.
func (m *traffic) settle() {
	synctest.Wait()
	m.users = slices.DeleteFunc(m.users, (*user).isOver)
	m.checkSettled()
}

// check holds at every moment.
func (m *traffic) check() {
	p := m.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	checkCapacity(m.t, p)
	m.crowd.check()
	for _, in := range m.crowd.all() {
		if in.extra < 0 || slices.Min(in.count[:]) < 0 {
			m.t.Errorf("%s: %v and %d extra", in.Addr, in.count, in.extra)
		}
		if len(in.idle) != in.count[idle] {
			m.t.Errorf("%s: %d kept, %d counted as idle", in.Addr, len(in.idle), in.count[idle])
		}
		if in.zombies < 0 || in.zombies > in.count[busy]+in.extra {
			m.t.Errorf("%s: %d zombies of %d requests", in.Addr, in.zombies, in.count[busy]+in.extra)
		}
		if q := in.queue; q.awaiting < 0 || q.awaiting > in.count[busy] || q.toShed < 0 || q.toShed > q.awaiting || q.waited && q.awaiting == 0 {
			m.t.Errorf("%s: accept queue %+v, %d busy", in.Addr, q, in.count[busy])
		}
		for _, c := range in.idle {
			if c.uses == 0 || c.streams != 0 || c.noMore || c.state != idle {
				m.t.Errorf("%s keeps a connection in state %d with %d uses, %d streams, retired %v", in.Addr, c.state, c.uses, c.streams, c.noMore)
			}
		}
		for _, c := range in.sharing.conns {
			if c.noMore || c.streams > maxStreams || c.state != busy && c.state != idle {
				m.t.Errorf("%s shares a connection in state %d with %d streams, retired %v", in.Addr, c.state, c.streams, c.noMore)
			}
		}
	}
}

// checkSettled holds when nothing happens: the pool's counts are right, and no request waits
// that could be served.
func (m *traffic) checkSettled() {
	m.check()
	p := m.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	bodies := make(map[*conn][]bool)
	leases, waiting := 0, 0
	for _, u := range m.users {
		if l := u.leased(); l != nil {
			leases++
			if l.c.inst.membership == removed {
				m.t.Errorf("%s has a connection to %s, which was removed", u.uri, l.Addr())
			}
			bodies[l.c] = append(bodies[l.c], u.demand.Body)
		} else {
			waiting++
		}
	}
	awaiting := make(map[*instance]int)
	for c, all := range bodies {
		if c.awaiting {
			awaiting[c.inst]++
		}
		if c.state != busy || c.streams != len(all) || len(all) > 1 && (c.mux == nil || slices.Contains(all, !all[0])) {
			m.t.Errorf("a connection in state %d with %d streams has requests with bodies %v", c.state, c.streams, all)
		}
	}
	total := 0
	for _, in := range m.crowd.all() {
		total += in.count[busy] + in.extra
		m.crowd.checkKept(in)
		if in.queue.awaiting != awaiting[in] {
			m.t.Errorf("%s: %d connections of which nothing was heard, counted as %d", in.Addr, awaiting[in], in.queue.awaiting)
		}
	}
	looked := total - leases // at by requests that were given a connection: is its process back?
	if looked < 0 || looked > 0 && !p.config().WorksOn || p.waiters.Len() != waiting-looked {
		m.t.Errorf("%d requests, %d leases out; %d waiters, %d requests wait", total, leases, p.waiters.Len(), waiting)
	}
	making := 0 // connections being closed, whose room the first waiters get
	for _, in := range p.instances {
		making += in.count[closing]
	}
	for e := p.waiters.Front(); e != nil; e = e.Next() {
		w := e.Value.(*waiter)
		if w.dial != nil {
			continue
		}
		if slices.ContainsFunc(p.instances, func(in *instance) bool { return in.sharing.opening && p.sharing(in, w.demand) }) {
			continue // a connection that is being made is for this one, too
		}
		if making--; making >= 0 || w.demand.Buffered && p.behindAnother(w) {
			continue
		}
		for _, in := range p.instances {
			if p.eligible(w, in) && (in.roomFor(w) || len(in.idle) > 0) {
				m.t.Errorf("%s has room (%v of %d) and somebody waits for %+v", in.Addr, in.count, in.observed.now, w.demand)
			}
		}
	}
}

// finish lets everything end and looks for what was lost.
func (m *traffic) finish() {
	for _, s := range m.servers {
		s.recover()
	}
	for len(m.users) > 0 {
		for _, s := range m.servers {
			for s.answer(m.rng) {
			}
		}
		time.Sleep(100 * time.Millisecond)
		m.settle()
	}
	time.Sleep(2 * time.Minute)
	synctest.Wait()
	m.crowd.finish()
	for _, in := range m.pool.Snapshot().Instances {
		if in.Dialing+in.Busy+in.Idle+in.AtWork+in.Closing+in.Zombies+in.Requests != 0 {
			m.t.Errorf("left at the end: %+v", in)
		}
	}
	m.memory.wantAllBack(m.t)
	for _, s := range m.servers {
		if n := s.open(); n != 0 {
			m.t.Errorf("%d connections were never closed", n)
		}
	}
}

// user makes one request.
type user struct {
	t       *testing.T
	servers []*server
	demand  Demand
	uri     string
	cancel  context.CancelFunc
	patient bool // it reads on, for a while, after it has given up
	nosy    bool // it wants to know whether others are served
	over    chan struct{}

	mu    sync.Mutex
	lease *Lease // between Lease and Release
}

func (u *user) isOver() bool {
	select {
	case <-u.over:
		return true
	default:
		return false
	}
}

func (u *user) leased() *Lease {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.lease
}

func (u *user) set(l *Lease) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.lease = l
}

// giveUp interrupts a request that has a connection.
func (u *user) giveUp() {
	if l := u.leased(); l != nil {
		l.Interrupt()
	}
}

// run makes the request with what Lease or LeaseFunc returned.
func (u *user) run(l *Lease, err error) {
	defer close(u.over)
	defer u.cancel()
	if err != nil {
		return
	}
	u.set(l)
	if u.demand.Fresh && !l.Fresh() && !l.Shared() || l.Shared() && !u.demand.Buffered {
		u.t.Errorf("%+v got a connection that is fresh %v, shared %v", u.demand, l.Fresh(), l.Shared())
	}
	if l.Write(u.records(l.RequestID(), l.KeepConn())) == nil {
		l.SendDone()
	}
	if u.nosy && !l.RequestUnread() {
		l.ProbeServing()
	}
	out, err := u.read(l, time.Minute)
	if errors.Is(err, os.ErrDeadlineExceeded) && l.AtWork() && !u.wasRead(l.Addr()) {
		u.t.Errorf("%s was not read by %s for a minute", u.uri, l.Addr())
	}
	if err == nil && strings.TrimRight(out, " ") != "uri="+u.uri {
		u.t.Errorf("%s got the answer %q", u.uri, out)
	}
	u.set(nil)
	l.Release()
}

// wasRead reports whether an application has read the request.
func (u *user) wasRead(addr string) bool {
	s := u.servers[addr[0]-'a']
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read[u.uri]
}

// read returns the answer, unless the user gives up or it takes too long.
func (u *user) read(l *Lease, patience time.Duration) (out string, err error) {
	deadline := time.Now().Add(patience)
	for {
		ev, err := l.Next(deadline)
		switch {
		case errors.Is(err, ErrInterrupted) && u.patient && l.AtWork():
			u.patient = false
			l.MarkAbandoned()
			l.Resume()
			_, _ = u.read(l, 2*time.Second) // for nobody; its beginning may have been lost
			return "", ErrInterrupted
		case err != nil:
			return "", err
		case ev.Kind == upstream.End:
			return out, nil
		}
		out += string(ev.Data)
	}
}

// records is the request.
func (u *user) records(id uint16, keep bool) []byte {
	begin := fcgi.BeginRequest{Role: fcgi.RoleResponder}
	if keep {
		begin.Flags = fcgi.FlagKeepConn
	}
	b := fcgi.AppendBeginRequest(nil, id, begin)
	params := fcgi.NewParamsWriter(b, id)
	if err := params.Add("REQUEST_URI", u.uri); err != nil {
		u.t.Error(err)
	}
	b = params.End()
	if u.demand.Body {
		b = fcgi.AppendStream(b, fcgi.TypeStdin, id, []byte("body"))
	}
	return fcgi.AppendStreamEnd(b, fcgi.TypeStdin, id)
}
