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

// Config says what a Pool connects to, and within which bounds.
type Config struct {
	// Instances are the instances to begin with; Add and Remove change them. While there are
	// none, requests wait.
	Instances []Instance
	// Codec is the protocol of the application. If Codec.KeepAlive is false, KeepAlive is
	// KeepOff. If it is no upstream.Multiplexer, Multiplex is MultiplexOff. If it is no
	// upstream.Querier, no queries are sent, and KeepAuto is KeepOn.
	Codec upstream.Codec
	// Workers is how many connections an instance may have, in any state. A request on a
	// shared connection counts as one. At least 1.
	Workers int
	// DialTimeout is the limit of one dial, and how long an instance that was there a moment
	// ago may refuse connections, because it is being restarted. Default: 2 s.
	DialTimeout time.Duration
	// WaitTimeout is how long a request may wait for a connection. Default: 3 s.
	WaitTimeout time.Duration
	// SendTimeout is how long a write of at most 256 KiB may take. Default: no limit.
	SendTimeout time.Duration
	// IdleTimeout is how long an unused connection is kept. Default: 5 s.
	IdleTimeout time.Duration
	// CloseDelay is how long the room of a connection stays taken after both sides have closed
	// it. The thread of a server such as flup's needs a moment to be free, and new connections
	// are turned away until then. An application that does not close its side has a second for
	// that. If it closed first, and was full before, CloseDelay is a tenth. Default: none, and
	// connections are closed without waiting for the application.
	CloseDelay time.Duration
	// ClosesWhenFull says that the application, when it is full, accepts a connection and
	// closes it at once, as threaded servers do. Others let connections wait, and are broken
	// if they close one at once. Default: false.
	ClosesWhenFull bool
	// Multiplex says whether requests may share a connection if the application serves them
	// at the same time. Default: MultiplexOff.
	Multiplex Multiplex
	// Memory returns the budget of a new shared connection. Answers that wait for their
	// requests and requests that wait to be sent are charged, except 2 KiB of each answer and
	// 64 KiB of the requests on a connection. Default: nothing is charged.
	Memory func() Memory
	// Logger is told when an instance goes down or comes back, becomes full or is not any
	// more, does not accept connections, and whether it multiplexes. Default: no log.
	Logger *slog.Logger
	// OnOutage is called when an instance cannot be connected to, with the error, and when it
	// can be again, with nil; at most once a second for each instance. The log and the next
	// call wait until it returns. Default: none.
	OnOutage func(addr string, err error)
	// OnCapacity is called when an instance turns out to hold fewer connections than it has
	// workers, and when it is trusted with all of them again. The log and the next call wait
	// until it returns. Default: none.
	OnCapacity func(addr string, connections, workers int)
	// ClosesIdle says that the application closes kept connections, as PHP's workers do after
	// a number of requests. The pool notices that itself, but the first time may cost a
	// request. Default: false.
	ClosesIdle bool
	// WorksOn says that a process may work on after its answer, its connection open, and
	// leaves the end of STDIN unread until it is back, as PHP's do. Until then the connection
	// is not used, and the process counts as taken. Default: false.
	WorksOn bool
	// KeepAlive says whether connections are kept for further requests. Default: KeepOn.
	KeepAlive KeepAlive
}

// Pool holds the connections to one backend. Its methods may be called concurrently.
type Pool struct {
	cfg atomic.Pointer[Config] // changed while mu is held, read at any time

	mu              sync.Mutex
	instances       []*instance // serving
	draining        []*instance // draining
	removedCounters *Counters   // of removed instances, all together
	removed         uint64      // how many instances were removed
	nextStart       int         // where choose begins
	limit           limiter
	waiters         *list.List // of *waiter, oldest first
	closed          bool
	toClose         []*conn     // connections that unlock closes; see startClosing
	maintenance     *time.Timer // calls startMaintenance at due
	due             time.Time   // zero: never
	journal         journal

	capacity atomic.Int64 // Capacity; changed while mu is held

	ctx    context.Context // of dials and waits; ends when the pool is closed
	cancel context.CancelFunc
	tasks  sync.WaitGroup // all goroutines of the pool; started while mu is held and the pool is open
}

// New returns a pool. It dials nothing.
func New(cfg Config) (*Pool, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	p := &Pool{waiters: list.New(), removedCounters: newCounters(), journal: journal{logger: cfg.Logger}}
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

// complete checks a Config and sets the defaults.
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

// querier returns the codec. It must not be called if behaviour.noQueries is set.
func (p *Pool) querier() upstream.Querier { return p.config().Codec.(upstream.Querier) }

// config is the present Config.
func (p *Pool) config() *Config { return p.cfg.Load() }

// Close closes idle connections, ends dials, fails waiters with ErrClosed, and waits for the
// pool's goroutines. Leased connections are closed when they are released. Close may be
// called more than once.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.cancel()
	p.maintenance.Stop()
	for e := p.waiters.Front(); e != nil; e = p.waiters.Front() {
		p.resolve(e.Value.(*waiter), nil, ErrClosed)
	}
	for _, in := range p.instances {
		p.stopQueries(in)
		p.evictAll(in)
	}
	p.unlock()
	p.tasks.Wait()
}
