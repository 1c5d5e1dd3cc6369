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
	toClose         []*conn     // connections that unlock closes
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
	for _, in := range p.instances {
		p.stopQueries(in)
		p.evictAll(in)
	}
	p.unlock()
	p.tasks.Wait()
}
