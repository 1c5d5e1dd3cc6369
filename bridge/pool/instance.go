package pool

import (
	"context"
	"net"
	"time"

	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// Instance is one address of the backend.
type Instance struct {
	Addr string // as configured; for errors, logs and the snapshot
	Dial func(ctx context.Context) (net.Conn, error)
	// Alive reports whether the application's process runs, where somebody knows. A
	// connection that ends because the process did says nothing of how much the
	// application can hold. Default: not known.
	Alive func() bool
	// Queue tells how many connections the listening socket holds that nobody has
	// accepted, and how many it would hold. It is asked for snapshots, and several times
	// a second while a new connection brings no answer and others are open: if it waits to
	// be accepted, kept ones are closed. It must answer at once. Default: not known.
	Queue func() (depth, backlog int, err error)
	// Unread returns who can tell what the application has not read of what was written to
	// a connection, nil if nobody can. It is called once for each. Default: nobody can.
	Unread func(net.Conn) Unread
	// Relayed says that connections may end at something that reads for the application,
	// such as a proxy for TCP: what Unread tells may be true of that. Default: they do not.
	Relayed bool
}

// Unread tells what the application has not read of what was written to a connection. It
// is asked from one goroutine at a time.
type Unread interface {
	// Any reports whether there is any.
	Any() (bool, error)
	// Bytes is how many bytes that are. It costs more.
	Bytes() (int, error)
	// Await waits until all is read, the connection is closed, or ctx ends.
	Await(ctx context.Context) error
	// AwaitUntil is Await, for a moment.
	AwaitUntil(t time.Time) error
}

// instance is an Instance and what the pool knows of it. Everything below it
// belongs to the pool's mutex.
type instance struct {
	Instance

	membership membership
	ctx        context.Context // ends when it is not serving any more; dials to it run under it
	cancel     context.CancelFunc
	drained    chan struct{} // closed when nothing of it is in use; nil unless it is drained

	// count[s] is how many connections are in state s, and extra how many requests
	// multiplexed connections carry beyond their first. Invariant: all of them and extra
	// add up to at most Config.Workers, or to no more than they did when that was lowered.
	count [connStates]int
	extra int
	all   map[*conn]struct{} // those that count
	idle  []*conn            // most recently used last; len(idle) == count[idle]

	observed  capacity
	behaviour behaviour
	keep      keepTracker
	outage    outage
	sharing   sharing
	queue     acceptQueue

	zombies   int       // requests that nobody waits for the answer of
	lastOK    time.Time // when a connection was last made, or a request answered to its end
	served    time.Time // when a request was last answered to its end
	repliedAt time.Time // when a question was last answered on a new connection
	counters  *counters // its own; once it is removed, those of all that were
}

func newInstance(in Instance, cfg *Config) *instance {
	_, queries := cfg.Codec.(upstream.Querier)
	return &instance{
		Instance: in, all: make(map[*conn]struct{}), counters: new(counters),
		observed: capacity{now: cfg.Workers, proven: 1}, behaviour: behaviour{closesIdleByConfig: cfg.ClosesIdle, noQueries: !queries},
	}
}

// used is how much of its budget the instance has in use.
func (in *instance) used() int {
	n := in.extra
	for _, count := range in.count {
		n += count
	}
	return n
}

// working is what the instance's load is measured by: everything but idle
// connections, which are there to be used.
func (in *instance) working() int { return in.used() - in.count[idle] }

// room reports whether one more connection may be made.
func (in *instance) room() bool { return in.used() < in.observed.now }

// lighter reports whether in has less of its capacity in use than other.
func (in *instance) lighter(other *instance) bool {
	return in.working()*other.observed.now < other.working()*in.observed.now
}

// noteEnd notes that a connection to in has ended under a request: it was there
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

// counters only grow.
type counters struct {
	dials      uint64
	dialErrors uint64
	backlogs   uint64 // dials that found the backlog full
	turnedAway uint64 // new connections that were closed because the application is full
	reuses     uint64
	stale      uint64 // kept connections found dead or dirty before reuse
	shedIdle   uint64 // connections given up for others that waited to be accepted
	workedOn   uint64 // kept connections set aside because their process worked on
	discards   uint64 // connections closed because their exchange did not end cleanly
	replays    [reasons]uint64
}

func (n *counters) add(other *counters) {
	n.dials += other.dials
	n.dialErrors += other.dialErrors
	n.backlogs += other.backlogs
	n.turnedAway += other.turnedAway
	n.reuses += other.reuses
	n.stale += other.stale
	n.shedIdle += other.shedIdle
	n.workedOn += other.workedOn
	n.discards += other.discards
	for r, count := range other.replays {
		n.replays[r] += count
	}
}
