package pool

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// Config says what a Pool connects to and within which bounds.
type Config struct {
	// Instances are the backend's addresses, to begin with: others are added and removed
	// later. While there are none, requests wait.
	Instances []Instance
	// Codec is the protocol of the application. Without Codec.KeepAlive, the pool works as
	// with KeepOff; if it is no upstream.Multiplexer, as with MultiplexOff; if it is no
	// upstream.Querier, the application is never asked anything, and KeepAuto is KeepOn.
	Codec upstream.Codec
	// Workers is how many connections one instance may have, whatever their
	// state; at least 1.
	Workers int
	// DialTimeout bounds one attempt to connect, and how long an instance that
	// answered a moment ago may refuse connections (it is being restarted) before
	// requests are told. Default 2 s.
	DialTimeout time.Duration
	// WaitTimeout is how long one call of Lease may wait. Default 3 s.
	WaitTimeout time.Duration
	// SendTimeout is how long one write may take; writes are of 256 KiB at most.
	// Default: none.
	SendTimeout time.Duration
	// IdleTimeout is how long an unused connection is kept. Default 5 s.
	IdleTimeout time.Duration
	// CloseDelay is how long the room of a connection that we closed stays taken: a
	// threaded server like flup's needs a moment to notice and clean up, and turns the
	// next connection away until then. If it closed the connection first, and was seen
	// to be full before, a tenth of that. Default: none.
	CloseDelay time.Duration
	// TurnsAway says that the application, when it is full, accepts a connection and
	// closes it at once, as threaded servers do. Others let connections wait, and one
	// that closes at once is broken. Default: it does not.
	ClosesWhenFull bool
	// Multiplex says whether requests may share a connection if the application can
	// serve them at the same time. Default: MultiplexOff.
	Multiplex Multiplex
	// Memory returns what is charged for memory that grows with what clients and the
	// application do: for what was sent on shared connections and is waited for by nobody
	// yet, and for requests that the application does not read. It is asked for each
	// such connection. 2 KiB of each answer and 64 KiB of a connection's requests are not
	// charged. Default: nothing is.
	Memory func() Memory
	// Logger is told when an instance goes down, comes back, is full or is not any
	// more, leaves connections waiting, and whether it multiplexes. Default: nobody is.
	Logger *slog.Logger
	// OnOutage is called when an instance cannot be connected to, with the error, and with
	// nil when it can be again: at most once a second for each. The next call and the log
	// wait for it. Default: none.
	OnOutage func(addr string, err error)
	// Retires says that the application closes kept connections of its own accord,
	// as PHP's workers do after a number of requests. It is noticed, too, but the
	// first time may cost a request.
	ClosesIdle bool
	// WorksOn says that a process may go on working after its answer, its connection kept,
	// and leaves the end of STDIN unread until it is back, as PHP's do. Such a connection
	// is not used, and its process counts as taken, until it is back. Default: none does.
	WorksOn bool
	// KeepAlive says whether connections are kept for further requests. Default: KeepOn.
	KeepAlive KeepAlive
}

// Pool holds the connections to one backend. Its methods may be called at the
// same time.
type Pool struct {
	cfg atomic.Pointer[Config] // what it goes by now; changed under mu alone, and read without it, too

	mu              sync.Mutex
	instances       []*instance // those that requests are sent to
	draining        []*instance // those that are drained
	removedCounters counters    // of those that were removed
	removed         uint64      // how many that were
	nextStart       int         // where the search for the least loaded instance starts
	waiters         *list.List  // of *waiter; whoever wants a connection and has none, oldest first
	closed          bool
	maintenance     *time.Timer // runs tend at due
	due             time.Time   // zero: nothing is
	journal         journal

	capacity atomic.Int64 // what the instances are believed to hold together; changed under mu alone

	ctx    context.Context // ends when the pool closes; dials run under it
	cancel context.CancelFunc
	tasks  sync.WaitGroup // dials, and closings that wait; added to under mu while the pool is open
}

// New returns a pool. It connects to nothing.
func New(cfg Config) (*Pool, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	p := &Pool{waiters: list.New(), journal: journal{logger: cfg.Logger}}
	p.cfg.Store(&cfg)
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.maintenance = time.AfterFunc(time.Hour, p.startMaintenance)
	p.maintenance.Stop()
	for _, in := range cfg.Instances {
		if err := p.Add(in); err != nil {
			p.Close()
			return nil, err
		}
	}
	return p, nil
}

// complete checks a Config and fills in the defaults.
func (c *Config) complete() error {
	if c.Codec == nil {
		return errors.New("pool: codec is not set")
	}
	if c.Workers < 1 {
		return fmt.Errorf("pool: workers is %d, want at least 1", c.Workers)
	}
	if c.DialTimeout == 0 {
		c.DialTimeout = 2 * time.Second
	}
	if c.WaitTimeout == 0 {
		c.WaitTimeout = 3 * time.Second
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = 5 * time.Second
	}
	_, queries := c.Codec.(upstream.Querier)
	switch {
	case !c.Codec.KeepAlive():
		c.KeepAlive = KeepOff
	case c.KeepAlive == KeepAuto && !queries:
		c.KeepAlive = KeepOn
	}
	if _, multiplexes := c.Codec.(upstream.Multiplexer); !multiplexes {
		c.Multiplex = MultiplexOff
	}
	return nil
}

// querier returns the codec as what has queries. Do not call it where habits.noQueries is
// set.
func (p *Pool) querier() upstream.Querier { return p.config().Codec.(upstream.Querier) }

// config is what the pool goes by now.
func (p *Pool) config() *Config { return p.cfg.Load() }

// Lease returns a connection, kept or new, as soon as an instance has one to
// give. It returns ctx's cause if that ends first, ErrWaitTimeout if none had in
// time, an *UnavailableError if no instance can be connected to, and ErrClosed
// after Close.
func (p *Pool) Lease(ctx context.Context, d Demand) (*Lease, error) {
	begun := time.Now()
	patience := p.config().WaitTimeout
	d.since = time.Time{}
	if d.Fresh {
		d.since = begun
	}
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return nil, ErrClosed
		}
		c := p.take(d)
		if c != nil {
			p.mu.Unlock()
		} else {
			w := p.enqueue(d)
			p.mu.Unlock()
			var err error
			if c, err = p.wait(ctx, w, begun.Add(patience)); err != nil {
				return nil, err
			}
		}
		switch {
		case c.mux != nil, c.uses == 1:
			return p.lease(c, d), nil
		case !p.isBack(c):
			p.releaseAtWork(c)
		case c.usable():
			return p.lease(c, d), nil
		default:
			p.noteClosedIdle(c)
			p.discard(c, func(n *counters) { n.stale++ })
		}
	}
}

// Close closes idle connections, ends dials, fails waiters with ErrClosed and
// waits for the dials to be over. Leased connections are closed as they are
// released. It may be called more than once.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.cancel()
	p.maintenance.Stop()
	for e := p.waiters.Front(); e != nil; e = p.waiters.Front() {
		p.resolve(e.Value.(*waiter), nil, ErrClosed)
	}
	var toClose []*conn
	for _, in := range p.instances {
		p.stopQueries(in)
		toClose = append(toClose, p.evictAll(in)...)
	}
	p.mu.Unlock()
	p.closeAll(toClose)
	p.tasks.Wait()
}

// lease makes a handle for a connection that was occupied.
func (p *Pool) lease(c *conn, d Demand) *Lease {
	l := &Lease{p: p, c: c, noKeepAlive: c.noKeepAlive}
	if c.mux != nil {
		s := c.mux.Open()
		l.ch, l.id, l.fresh = s, s.ID, s.First
		return l
	}
	c.reset()
	l.ch, l.id, l.fresh, l.base = c, c.id, c.uses == 1, c.in.Received()
	if l.fresh || d.NoReplay {
		p.mu.Lock()
		defer p.mu.Unlock()
		if l.fresh {
			l.guarded = !c.proved && p.mayTurnAway(c.inst, d)
		} else {
			l.guarded = !c.inst.behaviour.keptOpen
		}
	}
	return l
}

// keep takes back a leased connection, or a part of one, on which the request was
// answered to its end.
func (p *Pool) keep(l *Lease) {
	c, in := l.c, l.c.inst
	p.mu.Lock()
	in.served = time.Now()
	in.lastOK = in.served
	p.release(c)
	var toClose []*conn
	if c.mux != nil {
		toClose = p.recycle(c)
	} else {
		toClose = p.keepOwn(l)
	}
	p.mu.Unlock()
	p.closeAll(toClose)
}

// keepOwn is handBack for a connection that a request had to itself, in the way the
// application is known to need.
func (p *Pool) keepOwn(l *Lease) (toClose []*conn) {
	c, in := l.c, l.c.inst
	if c.ended++; c.ended > 1 {
		p.noteKeptOpen(in)
	}
	switch {
	case p.closed, l.noKeepAlive && (c.peerClosed || !p.config().ClosesWhenFull): // a process waits for us to close
		p.setState(c, closing)
		return []*conn{c}
	case l.noKeepAlive:
		p.setState(c, closing)
		p.tasks.Go(func() {
			c.linger(lingerTimeout)
			p.closeAll([]*conn{c})
		})
		return nil
	case in.behaviour.closesAlways():
		p.setState(c, closing)
		p.tasks.Go(func() { p.awaitEnd(c) })
		return nil
	case p.config().KeepAlive == KeepAuto && in.keep.state != keepTaken:
		return p.startQuery(c)
	}
	return p.recycle(c)
}

// reject takes back one on which the request did not end cleanly: it is closed, unless
// others share it.
func (p *Pool) reject(c *conn) {
	if c.mux == nil {
		p.discard(c, func(n *counters) { n.discards++ })
		return
	}
	p.mu.Lock()
	c.inst.counters.discards++
	p.release(c)
	toClose := p.recycle(c)
	p.mu.Unlock()
	p.closeAll(toClose)
}
