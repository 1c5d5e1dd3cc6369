package pool

import (
	"context"
	"net"
	"time"

	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// Instance is one address of the application.
type Instance struct {
	Addr string // as configured; for errors, logs and the snapshot
	Dial func(ctx context.Context) (net.Conn, error)
	// Alive reports whether the application's process runs. If the process has ended, the
	// end of a connection says nothing about how many the application holds. Default: not
	// known.
	Alive func() bool
	// Queue returns how many connections wait in the listening socket's accept queue, and
	// how many fit. It is called for snapshots, and every 250 ms while a new connection
	// brings no answer and there are others: if it waits there, idle ones are closed. It must
	// return at once. Default: not known.
	Queue func() (depth, backlog int, err error)
	// Unread returns what tells, for a connection, what the application has not read; nil if
	// that cannot be known. It is called once for each connection. Default: not known.
	Unread func(net.Conn) Unread
	// Relayed says that there may be something between that reads for the application, such
	// as a TCP proxy, so that Unread tells of that. Default: false.
	Relayed bool
}

// Unread tells what the application has not read of what was written to a connection. It is
// used by one goroutine at a time.
type Unread interface {
	// Any reports whether there are such bytes.
	Any() (bool, error)
	// Bytes returns how many there are. It costs more than Any.
	Bytes() (int, error)
	// Await waits until there are none, the connection is closed, or ctx ends.
	Await(ctx context.Context) error
	// AwaitUntil is Await with a deadline. It is for short waits.
	AwaitUntil(t time.Time) error
}

// instance is an Instance and what the pool knows of it. All fields but Instance are guarded
// by the pool's mutex.
type instance struct {
	Instance

	membership membership
	ctx        context.Context // of dials; ends when the instance is not serving any more
	cancel     context.CancelFunc
	drained    chan struct{} // see Drain; nil unless it is draining or removed

	// count[s] is how many connections are in state s. Extra is how many requests shared
	// connections carry beyond the first of each. Invariant: the sum of count, plus extra, is
	// at most Config.Workers and the limit, or has not grown since that was lowered.
	count [connStates]int
	extra int
	all   map[*conn]struct{} // those in count
	idle  []*conn            // most recently used last; len(idle) == count[idle]

	observed  capacity
	limit     *limiter // the pool's
	behaviour behaviour
	keep      keepTracker
	outage    outage
	sharing   sharing
	queue     acceptQueue

	zombies   int       // requests whose answers nobody waits for
	lastOK    time.Time // when a connection was last made, or an answer ended
	served    time.Time // when an answer last ended
	repliedAt time.Time // when a query was last replied to
	counters  *Counters // of this instance; once it is removed, Pool.removedCounters
}

func newInstance(in Instance, cfg *Config, limit *limiter) *instance {
	_, queries := cfg.Codec.(upstream.Querier)
	return &instance{
		Instance: in, limit: limit, all: make(map[*conn]struct{}), counters: newCounters(),
		observed: capacity{now: cfg.Workers, proven: 1}, behaviour: behaviour{closesIdleByConfig: cfg.ClosesIdle, noQueries: !queries},
	}
}

// used is how much of the budget is in use.
func (in *instance) used() int {
	n := in.extra
	for _, count := range in.count {
		n += count
	}
	return n
}

// working is the load of the instance: all that is in use, except idle connections.
func (in *instance) working() int { return in.used() - in.count[idle] }

// room reports whether one more connection may be made.
func (in *instance) room() bool { return in.used() < in.most() }

// most is how many connections there may be now.
func (in *instance) most() int { return in.limit.within(in.observed.now) }

// lighter reports whether in has less of its capacity in use than other.
func (in *instance) lighter(other *instance) bool {
	return in.working()*other.observed.now < other.working()*in.observed.now
}

// noteEnd notes that the application has ended a connection under a request: it was there
// until now.
func (p *Pool) noteEnd(in *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	in.lastOK = time.Now()
}

// servedLately reports whether a request was answered within d.
func (in *instance) servedLately(d time.Duration) bool {
	return !in.served.IsZero() && time.Since(in.served) < d
}
