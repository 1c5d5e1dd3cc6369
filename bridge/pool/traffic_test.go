package pool

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

var (
	trafficSeeds = flag.Int("traffic.seeds", 60, "how many random lives TestRandomTraffic plays")
	trafficFirst = flag.Uint64("traffic.first", 0, "the seed of the first")
)

// TestRandomTraffic has a pool serve requests of every kind, on connections that are
// shared and that are not, with applications that go away, come back, refuse, turn
// away, stall and die, and checks after every step what always holds.
func TestRandomTraffic(t *testing.T) {
	for i := range *trafficSeeds {
		seed := *trafficFirst + uint64(i)
		synctest.Test(t, func(t *testing.T) {
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("seed %d; repeat with -run TestRandomTraffic -traffic.seeds 1 -traffic.first %d", seed, seed)
				}
			})
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
	workers int
	servers []*server
	users   []*user // whose request is not over
	made    int     // requests
}

func newTraffic(t *testing.T, rng *rand.Rand) *traffic {
	m := &traffic{t: t, rng: rng, workers: 1 + rng.IntN(14)}
	cfg := Config{
		Workers:     m.workers,
		DialTimeout: 4 * time.Second, WaitTimeout: 10 * time.Second, SendTimeout: time.Second,
		IdleTimeout: time.Duration(1+rng.IntN(5)) * time.Second,
		CloseDelay:  time.Duration(rng.IntN(2)) * 5 * time.Millisecond,
		TurnsAway:   rng.IntN(2) == 0, Retires: rng.IntN(3) == 0, OneRequest: rng.IntN(5) == 0,
		Multiplex: []Multiplex{MultiplexOff, MultiplexAuto, MultiplexAuto, MultiplexOn}[rng.IntN(4)],
	}
	if cfg.OneRequest {
		cfg.Multiplex = MultiplexOff
	}
	for i := range 1 + rng.IntN(3) {
		s := &server{t: t, shares: rng.IntN(3) > 0, forced: cfg.Multiplex == MultiplexOn, holds: m.workers, conns: make(map[*served]bool), workers: m.workers}
		m.servers = append(m.servers, s)
		cfg.Instances = append(cfg.Instances, Instance{Addr: string(rune('a' + i)), Dial: s.dial})
	}
	m.pool = newPool(t, cfg)
	return m
}

// step does one thing and lets everybody do what follows from it.
func (m *traffic) step() {
	s := m.servers[m.rng.IntN(len(m.servers))]
	switch n := m.rng.IntN(100); {
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
	default:
		time.Sleep(time.Duration(m.rng.IntN(120)) * time.Second)
	}
	if m.rng.IntN(4) > 0 {
		m.settle()
	}
	m.check()
}

// begin makes a request.
func (m *traffic) begin() {
	d := Demand{Whole: m.rng.IntN(4) > 0, Body: m.rng.IntN(3) == 0, Settled: m.rng.IntN(3) == 0, Fresh: m.rng.IntN(8) == 0}
	ctx, cancel := context.WithCancel(context.Background())
	m.made++
	u := &user{t: m.t, demand: d, uri: fmt.Sprintf("/%d", m.made), cancel: cancel, patient: m.rng.IntN(2) == 0, over: make(chan struct{})}
	m.users = append(m.users, u)
	go u.run(ctx, m.pool)
}

func (m *traffic) oneUser(do func(*user)) {
	if len(m.users) > 0 {
		do(m.users[m.rng.IntN(len(m.users))])
	}
}

// settle lets everybody run until nothing happens any more without time passing.
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
	for _, in := range p.instances {
		if in.used() > m.workers || in.extra < 0 || slices.Min(in.count[:]) < 0 {
			m.t.Errorf("%s: %v and %d extra, %d workers", in.Addr, in.count, in.extra, m.workers)
		}
		if len(in.idle) != in.count[idle] {
			m.t.Errorf("%s: %d kept, %d counted as idle", in.Addr, len(in.idle), in.count[idle])
		}
		if in.zombies < 0 || in.zombies > in.count[busy]+in.extra {
			m.t.Errorf("%s: %d zombies of %d requests", in.Addr, in.zombies, in.count[busy]+in.extra)
		}
		if o := in.observed; o.now < 1 || o.now > m.workers || o.proven < 1 || o.proven > m.workers || o.answering < 0 || o.answering > in.conns() {
			m.t.Errorf("%s: %+v, %d workers", in.Addr, o, m.workers)
		}
		for _, c := range in.idle {
			if c.uses == 0 || c.streams != 0 || c.retired || c.state != idle {
				m.t.Errorf("%s keeps a connection in state %d with %d uses, %d streams, retired %v", in.Addr, c.state, c.uses, c.streams, c.retired)
			}
		}
		for _, c := range in.sharing.conns {
			if c.retired || c.streams > maxStreams || c.state != busy && c.state != idle {
				m.t.Errorf("%s shares a connection in state %d with %d streams, retired %v", in.Addr, c.state, c.streams, c.retired)
			}
		}
	}
}

// checkSettled holds when nothing is going on: what the pool counts is what there
// is, and nobody waits who could be served.
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
			bodies[l.c] = append(bodies[l.c], u.demand.Body)
		} else {
			waiting++
		}
	}
	for c, all := range bodies {
		if c.state != busy || c.streams != len(all) || len(all) > 1 && (c.mux == nil || slices.Contains(all, !all[0])) {
			m.t.Errorf("a connection in state %d with %d streams has requests with bodies %v", c.state, c.streams, all)
		}
	}
	total := 0
	for _, in := range p.instances {
		total += in.count[busy] + in.extra
	}
	if total != leases || p.waiters.Len() != waiting {
		m.t.Errorf("%d requests, %d leases out; %d waiters, %d requests wait", total, leases, p.waiters.Len(), waiting)
	}
	making := 0 // connections being closed, whose room the first waiters get
	for _, in := range p.instances {
		making += in.count[closing]
	}
	for e := p.waiters.Front(); e != nil; e = e.Next() {
		w := e.Value.(*waiter)
		if w.dialing {
			continue
		}
		if slices.ContainsFunc(p.instances, func(in *instance) bool { return in.sharing.opening && p.sharing(in, w.demand) }) {
			continue // a connection that is being made is for this one, too
		}
		if making--; making >= 0 || w.demand.shares() && p.behindAnother(w) {
			continue
		}
		for _, in := range p.instances {
			if p.eligible(w, in) && (in.room() || len(in.idle) > 0) {
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
	for _, in := range m.pool.Snapshot().Instances {
		if in.Dialing+in.Busy+in.Idle+in.Closing+in.Zombies+in.Requests != 0 {
			m.t.Errorf("left at the end: %+v", in)
		}
	}
	for _, s := range m.servers {
		if n := s.open(); n != 0 {
			m.t.Errorf("%d connections were never closed", n)
		}
	}
}

// user makes one request.
type user struct {
	t       *testing.T
	demand  Demand
	uri     string
	cancel  context.CancelFunc
	patient bool // it reads on, for a while, after it has given up
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

func (u *user) run(ctx context.Context, p *Pool) {
	defer close(u.over)
	defer u.cancel()
	l, err := p.Lease(ctx, u.demand)
	if err != nil {
		return
	}
	u.set(l)
	if u.demand.Fresh && (!l.Fresh() || l.Shared()) || l.Shared() && !u.demand.Whole {
		u.t.Errorf("%+v got a connection that is fresh %v, shared %v", u.demand, l.Fresh(), l.Shared())
	}
	if l.Write(u.records(l.RequestID())) == nil {
		l.SendDone()
	}
	out, err := u.read(l)
	if err == nil && out != "uri="+u.uri {
		u.t.Errorf("%s got the answer %q", u.uri, out)
	}
	u.set(nil)
	l.Release()
}

// read returns the answer, unless the user gives up.
func (u *user) read(l *Lease) (out string, err error) {
	deadline := time.Now().Add(time.Minute)
	for {
		ev, err := l.Next(deadline)
		switch {
		case errors.Is(err, ErrInterrupted) && u.patient && l.AtWork():
			u.patient = false
			deadline = time.Now().Add(2 * time.Second)
			l.MarkAbandoned()
			l.Resume()
			err = nil
			if _, err = u.read(l); err == nil {
				err = ErrInterrupted // the answer may have been cut short
			}
			return "", err
		case err != nil:
			return "", err
		case ev.Type == fcgi.TypeEndRequest:
			return out, nil
		}
		out += string(ev.Data)
	}
}

// records is the request.
func (u *user) records(id uint16) []byte {
	b := fcgi.AppendBeginRequest(nil, id, fcgi.BeginRequest{Role: fcgi.RoleResponder, Flags: fcgi.FlagKeepConn})
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

// server is one instance of an application. It answers when it is told to.
type server struct {
	t       *testing.T
	shares  bool // it multiplexes
	forced  bool // the pool does not ask
	workers int

	mu    sync.Mutex
	down  error // why it cannot be connected to; os.ErrDeadlineExceeded: nobody answers
	holds int   // connections; more are closed at once
	quiet bool  // it does not answer GET_VALUES
	conns map[*served]bool
	todo  []*job
}

// served is the application's end of a connection.
type served struct {
	*fcgitest.Conn
	live map[uint16]*job // begun, and not ended by the application
}

// job is a request that an application has read.
type job struct {
	on  *served
	id  uint16
	uri string
}

func (s *server) dial(ctx context.Context) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down == os.ErrDeadlineExceeded {
		s.mu.Unlock()
		<-ctx.Done()
		s.mu.Lock()
		return nil, ctx.Err()
	}
	if s.down != nil {
		return nil, s.down
	}
	near, far := fcgitest.Pipe()
	if len(s.conns) >= s.holds {
		_ = far.Close()
		return near, nil
	}
	c := &served{far, make(map[uint16]*job)}
	s.conns[c] = true
	if len(s.conns) > s.workers {
		s.t.Errorf("%d connections, %d workers", len(s.conns), s.workers)
	}
	go s.read(c)
	return near, nil
}

// read takes what comes on a connection.
func (s *server) read(c *served) {
	defer s.close(c)
	for {
		head := make([]byte, fcgi.HeaderLen)
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		h, err := fcgi.DecodeHeader(head)
		if err != nil {
			s.t.Error(err)
			return
		}
		content := make([]byte, int(h.ContentLength)+int(h.PaddingLength))
		if _, err := io.ReadFull(c, content); err != nil {
			return
		}
		s.take(c, h, content[:h.ContentLength])
	}
}

func (s *server) take(c *served, h fcgi.Header, content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := c.live[h.RequestID]
	switch h.Type {
	case fcgi.TypeGetValues:
		if !s.quiet {
			value := map[bool]string{true: "1", false: "0"}[s.shares]
			s.send(c, fcgitest.Record(fcgitest.GetValuesResult, 0, fcgitest.Pairs(fcgitest.Param{Name: fcgi.MpxsConns, Value: value})))
		}
	case fcgi.TypeBeginRequest:
		if j != nil || h.RequestID == 0 {
			s.t.Errorf("request id %d is begun again", h.RequestID)
		}
		if len(c.live) > 0 && !s.shares && !s.forced {
			s.t.Errorf("request %d is begun while another is in progress", h.RequestID)
		}
		c.live[h.RequestID] = &job{on: c, id: h.RequestID}
	case fcgi.TypeParams:
		if _, value, _, err := fcgi.DecodePair(content); err == nil && j != nil {
			j.uri = string(value)
		}
	case fcgi.TypeStdin:
		switch {
		case len(content) > 0 || j == nil:
		case !s.shares && len(c.live) > 1:
			s.end(j, fcgitest.CantMpxConn)
		default:
			s.todo = append(s.todo, j)
		}
	}
}

// end ends a request. The id is free before the other side can know.
func (s *server) end(j *job, status byte) {
	delete(j.on.live, j.id)
	s.send(j.on, fcgitest.EndStatus(j.id, status))
}

// send writes records, unless the connection is gone.
func (s *server) send(c *served, b []byte) { _, _ = c.Write(b) }

// answer answers a request, well or badly, and reports whether there was one.
func (s *server) answer(rng *rand.Rand) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.todo) == 0 {
		return false
	}
	i := rng.IntN(len(s.todo))
	j := s.todo[i]
	s.todo = slices.Delete(s.todo, i, i+1)
	switch n := rng.IntN(20); {
	case !s.conns[j.on]:
	case n == 0:
		s.end(j, fcgitest.Overloaded)
	case n == 1:
		s.send(j.on, fcgitest.Out(j.id, "some"))
		s.drop(j.on)
	case n == 2:
		s.send(j.on, fcgitest.Out(j.id, "uri="+j.uri))
		s.end(j, fcgitest.RequestComplete)
		s.drop(j.on)
	case n == 3 && s.shares:
		s.send(j.on, fcgitest.Out(j.id, "uri="+j.uri))
		s.end(j, fcgitest.RequestComplete)
		s.end(j, fcgitest.RequestComplete)
	default:
		s.send(j.on, fcgitest.Out(j.id, "uri="))
		s.send(j.on, fcgitest.Out(j.id, j.uri))
		s.end(j, fcgitest.RequestComplete)
	}
	return true
}

// kill ends a connection, whatever it is doing.
func (s *server) kill(rng *rand.Rand) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if rng.IntN(len(s.conns)) == 0 {
			_ = c.Reset()
			return
		}
	}
}

// change lets the server go away, come back, or hold more or fewer connections.
func (s *server) change(rng *rand.Rand) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		s.down = nil
		return
	}
	switch rng.IntN(4) {
	case 0:
		s.down = []error{syscall.ECONNREFUSED, syscall.EAGAIN, os.ErrDeadlineExceeded, errors.New("no route to host")}[rng.IntN(4)]
		for c := range s.conns {
			_ = c.Close()
		}
	case 1:
		s.quiet = !s.quiet
	default:
		s.holds = 1 + rng.IntN(s.workers)
	}
}

// recover lets the server hold what it should.
func (s *server) recover() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down, s.holds = nil, s.workers
}

// drop closes a connection and forgets it.
func (s *server) drop(c *served) {
	_ = c.Close()
	delete(s.conns, c)
}

func (s *server) close(c *served) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(c)
}

func (s *server) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}
