package pool

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Config says what a Pool connects to and within which bounds.
type Config struct {
	// Instances are the backend's addresses; at least one.
	Instances []Instance
	// Workers is how many connections one instance may have, whatever their
	// state; at least 1.
	Workers int
	// DialTimeout bounds one attempt to connect, and how long an instance that
	// answered a moment ago may refuse connections (it is being restarted) before
	// requests are told. Default 2 s.
	DialTimeout time.Duration
	// WaitTimeout is how long a request may wait for a connection. Default 3 s.
	WaitTimeout time.Duration
	// SendTimeout is how long one write may make no progress. Default: none.
	SendTimeout time.Duration
	// IdleTimeout is how long an unused connection is kept. Default 5 s.
	IdleTimeout time.Duration
	// CloseDelay is how long the room of an unused connection that was closed for a
	// waiter stays taken: a threaded server like flup's needs a moment to notice,
	// and turns the next connection away until then. Default: none.
	CloseDelay time.Duration
	// Retires says that the application closes kept connections of its own accord,
	// as PHP's workers do after a number of requests. It is noticed, too, but the
	// first time may cost a request.
	Retires bool
	// OneRequest closes every connection after its request, for applications in
	// which an unused connection stops more than its own worker.
	OneRequest bool
}

// settledAfter is how long a kept connection must have been quiet for
// LeaseSettled: long enough for an application that has said END_REQUEST to be
// given the processor again and close, if it means to.
const settledAfter = 100 * time.Millisecond

// Pool holds the connections to one backend. Its methods may be called at the
// same time.
type Pool struct {
	cfg Config

	mu        sync.Mutex
	instances []*instance
	turn      int        // where the search for the least loaded instance starts
	waiters   *list.List // of *waiter; whoever wants a connection and has none, oldest first
	closed    bool
	reaper    *time.Timer // runs while there are idle connections

	ctx    context.Context // ends when the pool closes; dials run under it
	cancel context.CancelFunc
	tasks  sync.WaitGroup // dials, and closings that wait; added to under mu while the pool is open
}

// New returns a pool. It connects to nothing.
func New(cfg Config) (*Pool, error) {
	if len(cfg.Instances) == 0 {
		return nil, errors.New("pool: no instances")
	}
	if cfg.Workers < 1 {
		return nil, fmt.Errorf("pool: workers is %d, want at least 1", cfg.Workers)
	}
	if cfg.DialTimeout == 0 {
		cfg.DialTimeout = 2 * time.Second
	}
	if cfg.WaitTimeout == 0 {
		cfg.WaitTimeout = 3 * time.Second
	}
	if cfg.IdleTimeout == 0 {
		cfg.IdleTimeout = 5 * time.Second
	}
	p := &Pool{cfg: cfg, waiters: list.New()}
	for _, in := range cfg.Instances {
		p.instances = append(p.instances, &instance{Instance: in, retires: cfg.Retires})
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.reaper = time.AfterFunc(time.Hour, p.reap)
	p.reaper.Stop()
	return p, nil
}

// Lease returns a connection, kept or new, as soon as an instance has one to
// give. It returns ctx's cause if that ends first, ErrWaitTimeout if none had in
// time, an *UnavailableError if no instance can be connected to, and ErrClosed
// after Close.
func (p *Pool) Lease(ctx context.Context) (*Lease, error) { return p.acquire(ctx, anyConn) }

// LeaseSettled is Lease for a request that cannot be sent again. PHP, when a
// worker retires, closes a connection a moment after its END_REQUEST, and on a
// busy machine that moment is long enough for another request to be sent. So
// where applications are known to close kept connections (Config.Retires, or it
// was seen), one is taken only after it has been quiet for settledAfter.
func (p *Pool) LeaseSettled(ctx context.Context) (*Lease, error) { return p.acquire(ctx, settledConn) }

// LeaseFresh is Lease for a request that has already met a connection the
// application had closed: it always dials.
func (p *Pool) LeaseFresh(ctx context.Context) (*Lease, error) { return p.acquire(ctx, freshConn) }

// demand says which connections a request takes.
type demand uint8

const (
	anyConn     demand = iota
	settledConn        // none that may be about to be closed
	freshConn          // only one that was dialled just now
)

// takes reports whether a connection that was given back just now will do.
func (d demand) takes(c *conn) bool {
	return d == anyConn || d == settledConn && !c.inst.retires
}

func (p *Pool) acquire(ctx context.Context, d demand) (*Lease, error) {
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return nil, ErrClosed
		}
		c := p.takeIdle(d)
		if c != nil {
			p.mu.Unlock()
		} else {
			w := p.enqueue(d)
			p.mu.Unlock()
			var err error
			if c, err = p.wait(ctx, w); err != nil {
				return nil, err
			}
		}
		if c.uses == 0 || c.usable() {
			return p.lease(c), nil
		}
		p.noteRetiring(c.inst)
		p.discard(c, &c.inst.stale)
	}
}

// noteRetiring remembers that an application closed a kept connection.
func (p *Pool) noteRetiring(in *instance) {
	p.mu.Lock()
	in.retires = true
	p.mu.Unlock()
}

// Close closes idle connections, ends dials, fails waiters with ErrClosed and
// waits for the dials to be over. Leased connections are closed as they are
// released. It may be called more than once.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.cancel()
	p.reaper.Stop()
	for e := p.waiters.Front(); e != nil; e = p.waiters.Front() {
		p.settle(e.Value.(*waiter), nil, ErrClosed)
	}
	var victims []*conn
	for _, in := range p.instances {
		for len(in.idle) > 0 {
			victims = append(victims, p.evict(in))
		}
	}
	p.mu.Unlock()
	p.closeAll(victims)
	p.tasks.Wait()
}

// lease makes a handle for a busy connection.
func (p *Pool) lease(c *conn) *Lease {
	c.begin()
	return &Lease{p: p, c: c, fresh: c.uses == 1, base: c.records.total}
}

// release takes a leased connection back.
func (p *Pool) release(c *conn, keep bool) {
	in := c.inst
	p.mu.Lock()
	if c.abandoned {
		c.abandoned = false
		in.zombies--
	}
	if !keep {
		p.mu.Unlock()
		p.discard(c, &in.discards)
		return
	}
	in.lastOK = time.Now()
	var victims []*conn
	switch {
	case p.closed:
		p.move(c, closing)
		victims = []*conn{c}
	case p.cfg.OneRequest:
		p.move(c, closing)
		p.tasks.Go(func() {
			c.linger()
			p.closeAll([]*conn{c})
		})
	default:
		victims = p.offer(c)
	}
	p.mu.Unlock()
	p.closeAll(victims)
}

// offer gives a clean connection to the first waiter that takes a used one, or
// keeps it. It returns what has to be closed to make room for the others.
func (p *Pool) offer(c *conn) (victims []*conn) {
	for e := p.waiters.Front(); e != nil; e = e.Next() {
		if w := e.Value.(*waiter); w.demand.takes(c) {
			p.settle(w, c, nil)
			return nil
		}
	}
	p.move(c, idle)
	c.idleSince = time.Now()
	c.inst.idle = append(c.inst.idle, c)
	if p.idleCount() == 1 {
		p.reaper.Reset(p.cfg.IdleTimeout)
	}
	return p.kick()
}

// discard closes a busy connection that cannot be used again and counts it.
func (p *Pool) discard(c *conn, counter *uint64) {
	p.mu.Lock()
	*counter++
	p.move(c, closing)
	p.mu.Unlock()
	p.closeAll([]*conn{c})
}

// closeAll closes connections in state closing and gives their room to waiters,
// at once or after CloseDelay.
func (p *Pool) closeAll(conns []*conn) {
	for len(conns) > 0 {
		for _, c := range conns {
			_ = c.Close() // the connection is done with; nothing can be learned here
		}
		p.mu.Lock()
		for _, c := range conns {
			if c.evicted && p.cfg.CloseDelay > 0 && !p.closed {
				p.tasks.Go(func() { p.freeRoom(c) })
				continue
			}
			p.move(c, none)
		}
		conns = p.kick()
		p.mu.Unlock()
	}
}

// freeRoom gives the room of a closed connection to waiters after CloseDelay.
func (p *Pool) freeRoom(c *conn) {
	t := time.NewTimer(p.cfg.CloseDelay)
	defer t.Stop()
	select {
	case <-t.C:
	case <-p.ctx.Done():
	}
	p.mu.Lock()
	p.move(c, none)
	victims := p.kick()
	p.mu.Unlock()
	p.closeAll(victims)
}

// move is the one place where a connection changes state. A connection enters
// the budget in startDial alone, which looks whether there is room.
func (p *Pool) move(c *conn, to connState) {
	in := c.inst
	if c.state != none {
		in.count[c.state]--
	}
	if to != none {
		in.count[to]++
	}
	c.state = to
}

// takeIdle leases an idle connection of the least loaded instance that has room
// or one to give; nil means that a dial is due. It is the freshest one, or, where
// the application may be about to close that, the one that has been quiet for
// longest, if that is long enough.
func (p *Pool) takeIdle(d demand) *conn {
	if p.waiters.Len() > 0 || d == freshConn {
		return nil // waiters come first
	}
	in := p.choose(func(in *instance) bool { return in.working() < p.cfg.Workers })
	if in == nil || len(in.idle) == 0 {
		return nil
	}
	last := len(in.idle) - 1
	if c := in.idle[last]; d.takes(c) {
		in.idle = in.idle[:last]
		p.reuse(c)
		return c
	}
	c := in.idle[0]
	if time.Since(c.idleSince) < settledAfter {
		return nil
	}
	in.idle = in.idle[1:]
	p.reuse(c)
	return c
}

func (p *Pool) reuse(c *conn) {
	p.move(c, busy)
	c.inst.reuses++
	p.nextTurn()
}

// choose returns the least loaded instance that qualifies, one that could be
// connected to before one that could not. Ties go round: who uses the choice
// calls nextTurn.
func (p *Pool) choose(qualifies func(*instance) bool) *instance {
	if len(p.instances) == 1 {
		if in := p.instances[0]; qualifies(in) {
			return in
		}
		return nil
	}
	var best *instance
	var bestAside bool
	now := time.Now()
	for i := range p.instances {
		in := p.instances[(p.turn+i)%len(p.instances)]
		if !qualifies(in) {
			continue
		}
		aside := now.Before(in.asideUntil)
		if best == nil || (bestAside && !aside) || (bestAside == aside && in.working() < best.working()) {
			best, bestAside = in, aside
		}
	}
	return best
}

// nextTurn lets the next tie go to another instance. A choice that came to
// nothing must not: the one after it would be a different one each time, and
// idle connections elsewhere would be dialled past.
func (p *Pool) nextTurn() { p.turn = (p.turn + 1) % len(p.instances) }

// evict takes an instance's oldest idle connection out for closing.
func (p *Pool) evict(in *instance) *conn {
	c := in.idle[0]
	in.idle = in.idle[1:]
	c.evicted = true
	p.move(c, closing)
	return c
}

// reap closes connections that have been idle for too long.
func (p *Pool) reap() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	now := time.Now()
	var victims []*conn
	next := time.Duration(-1)
	for _, in := range p.instances {
		for len(in.idle) > 0 {
			left := p.cfg.IdleTimeout - now.Sub(in.idle[0].idleSince)
			if left > 0 {
				if next < 0 || left < next {
					next = left
				}
				break
			}
			victims = append(victims, p.evict(in))
		}
	}
	if next > 0 {
		p.reaper.Reset(next)
	}
	p.mu.Unlock()
	p.closeAll(victims)
}

func (p *Pool) idleCount() int {
	n := 0
	for _, in := range p.instances {
		n += len(in.idle)
	}
	return n
}

func (p *Pool) markAbandoned(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !c.abandoned {
		c.abandoned = true
		c.inst.zombies++
	}
}
