package admission

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// tick is the interval at which the gate looks for requests that have become long or have waited
// for too long, and for stalls.
const tick = 50 * time.Millisecond

// Gate admits requests to one application. Its methods may be called concurrently.
type Gate struct {
	clock   Clock
	epoch   time.Time
	onStall func(Stall)

	mu      sync.Mutex
	cfg     Config
	closed  bool
	seq     uint64 // of the last entry
	random  *rand.Rand
	timer   Timer         // calls tick; nil before the first request
	ticking bool          // the timer runs: the gate is not empty, or was not at the last tick
	ticked  time.Duration // when the last tick was, or the ticks began

	// resize sets these: the limits of Config in proportion to the slots there are.
	slots                   int // slots there are now; at most Config.Workers
	reserve                 int // slots that long requests never take
	unknownLimit            int // unknown requests that may be in flight
	clientLimit, spentLimit int
	longMin, maxUpgraded    int

	inUse     int           // slots in use; more than slots only after slots has fallen
	longInUse int           // slots in use whose requests count as long
	abandoned int           // slots in use whose requests are abandoned
	idleSince time.Duration // when inUse last became 0

	upgrades       int          // upgrades that wait or are in flight
	upgradesInUse  int          // those of them in flight
	parkedUpgrades chain[entry] // those of them that wait until long requests hold fewer slots than longCap

	longCap       int           // a long request starts only while longInUse < longCap <= slots - reserve
	longTarget    int           // the value that longCap approaches
	shortNeed     int           // slots that short requests need, not counting unknown ones
	longCapRaised time.Duration // when longCap was last raised
	unknown       struct {
		young, aged       int            // in flight, started in the lane Unknown
		borrowed          int            // how many of young borrow their slots
		newRoutes         int            // young, and those in flight that are short by their group's record and not aged
		active, throttled chain[address] // addresses with waiting unknown requests: those that may start one; those with too many in flight
	}
	borrowed   int // in flight beyond the limit of their client or route, and not aged
	knownShort int // in flight, started as short by their own route's record

	young chain[entry] // in flight, neither declared long nor aged, the oldest start first
	old   chain[entry] // all others in flight
	// running has the same entries, so that they can be copied a few at a time: see copyInFlight.
	running []*entry

	rings         [classes]chain[clientQueue]
	blockedRoutes chain[route]       // routes and groups whose queues are not empty
	throttled     chain[clientQueue] // queues of clients at their limit
	nesting       nesting
	waitingIn     [rooms]int
	overloaded    bool // the room of short requests was full, and has not been empty since
	waitCounts    [rooms]heap[waitCount, bySize]
	deadlines     heap[entry, byDeadline]
	rechecked     int // index in deadlines at which recheckWaiting stopped
	freeEntries   chain[entry]

	routes    *routes
	clients   clientTable
	anonymous *client // stands for all clients without a client key

	addresses map[uint64]*address // addresses with waiting requests, or unknown ones in flight

	needs       [3]int // slots that short requests needed in each of the last seconds
	folds       int
	load        load
	fastSeconds decayingSum // of short and unknown requests, until they become long
	stall       stallState

	counts [lanes]laneCounts

	reportMu sync.Mutex // held while OnStall is called; locked before mu
	reports  []Stall
}

// New returns a gate whose slots are all free.
func New(cfg Config) (*Gate, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	g := &Gate{cfg: cfg, clock: cfg.Clock, onStall: cfg.OnStall, routes: newRoutes(), addresses: make(map[uint64]*address)}
	if g.clock == nil {
		g.clock = systemClock{}
	}
	g.epoch = g.clock.Now()
	seed := uint64(g.epoch.UnixNano())
	g.random = rand.New(rand.NewPCG(seed, seed>>1))
	g.routes.limit(cfg.Routes)
	g.clients = clientTable{table: make(map[uint64]*client), max: cfg.Clients}
	g.anonymous = newClient(0, cfg.ClientBurst, 0)
	g.anonymous.shared = true
	g.resize(cfg.Workers)
	g.longTarget = g.slots - g.reserve
	g.longCap = min(max(1, cfg.LongMin), g.longTarget)
	g.longCapRaised = time.Second - raiseInterval // not before the first estimate
	return g, nil
}

// now is the time since epoch.
func (g *Gate) now() time.Duration {
	if g.cfg.Clock == nil {
		return time.Since(g.epoch) // reads one clock, while Now reads two
	}
	return g.clock.Now().Sub(g.epoch)
}

// remeasure adapts the gate to the capacity of the application.
func (g *Gate) remeasure() {
	n := g.cfg.Workers
	if g.cfg.Capacity != nil {
		n = g.cfg.Capacity()
	}
	g.resize(n)
}

// resize adapts the gate to an application that holds n requests.
func (g *Gate) resize(n int) {
	g.slots = max(1, min(n, g.cfg.Workers))
	scale := func(v int) int { return (v*g.slots + g.cfg.Workers - 1) / g.cfg.Workers }
	g.reserve = min(scale(g.cfg.Reserve), g.slots-1)
	g.unknownLimit = max(1, scale(g.cfg.Unknown))
	g.clientLimit = min(g.cfg.ClientLimit, max(2, scale(g.cfg.ClientLimit)))
	g.spentLimit = max(1, scale(g.cfg.SpentLimit))
	g.longMin = min(g.cfg.LongMin, g.slots-g.reserve)
	g.maxUpgraded = max(1, min(scale(g.cfg.MaxUpgraded), g.slots-g.reserve))
	if g.slots <= 4 && g.cfg.Workers > 4 {
		g.longMin = 0
	}
	g.longCap = min(g.longCap, g.slots-g.reserve)
	g.longTarget = min(g.longTarget, g.slots-g.reserve)
}

// Acquire waits until r may start and returns a granted ticket. It returns a *Refusal if r is
// refused, ErrClosed, or the cause of ctx if that ends first.
func (g *Gate) Acquire(ctx context.Context, r *Request) (Ticket, error) {
	if ctx.Err() != nil {
		return Ticket{}, context.Cause(ctx)
	}
	var settled waiterChan
	t, granted, err := g.enter(r, func() Waiter {
		settled = make(waiterChan, 1)
		return settled
	})
	if err != nil || granted {
		return t, err
	}
	if r.Peer != nil {
		r.Peer.Waits(t)
	}
	select {
	case err := <-settled:
		if err == nil && ctx.Err() != nil { // the client left at the moment of the grant
			t.Release()
			err = context.Cause(ctx)
		}
		if err != nil {
			return Ticket{}, err
		}
		return t, nil
	case <-ctx.Done():
		t.Release()
		return Ticket{}, context.Cause(ctx)
	}
}

type waiterChan chan error

func (w waiterChan) Settle(err error) { w <- err }

// Enter asks for a slot without waiting: either the ticket it returns is granted already, or w is
// told later. Its error is a *Refusal or ErrClosed.
func (g *Gate) Enter(r *Request, w Waiter) (Ticket, error) {
	t, _, err := g.TryAcquire(r, w)
	return t, err
}

// TryAcquire is Enter, and reports whether the ticket is granted already: then w is not told.
func (g *Gate) TryAcquire(r *Request, w Waiter) (t Ticket, granted bool, err error) {
	return g.enter(r, func() Waiter { return w })
}

// enter is Enter with a Waiter that is created only if the request must wait.
func (g *Gate) enter(r *Request, waiter func() Waiter) (t Ticket, granted bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return Ticket{}, false, ErrClosed
	}
	now := g.now()
	g.startTicking()
	g.detectPause(now)
	e := g.newEntry(r, now)
	e.client = g.clientOf(r.ClientKey, r.ClientName, r.Shared, now)
	e.route = g.routes.none
	if g.cfg.Lanes {
		e.route, e.addressKey = g.routes.get(r), r.addressKey()
		e.nameAs(e.route)
	}
	if r.Peer != nil {
		g.nesting.lastPeer = max(now, 1)
	}
	e.route.entries++
	e.lane = g.laneOf(e, now)
	e.queue = e.lane.class()
	if r.Upgrade && g.cfg.Lanes && !g.countUpgrade(e) {
		err := g.refuse(e, Upgrades, now)
		g.discard(e)
		return Ticket{}, false, err
	}
	if g.mayStart(e, now) {
		g.start(e, now)
		return Ticket{g, e, e.seq}, true, nil
	}
	if c := g.clientOfAddress(e, r, now); c != nil {
		own := e.client
		e.client = c
		g.markIdle(own)
	}
	if why, refused := g.mustRefuse(e, now); refused {
		err := g.refuse(e, why, now)
		g.discard(e)
		return Ticket{}, false, err
	}
	e.state = waiting
	e.deadline, e.longWait = now+g.maxWait(e.queue), e.queue != fast
	g.deadlines.push(e)
	g.addWaiting(e)
	g.enqueue(e)
	g.dispatch(now)
	if e.state == running { // it borrows a slot
		return Ticket{g, e, e.seq}, true, nil
	}
	e.waiter = waiter()
	return Ticket{g, e, e.seq}, false, nil
}

// RefuseWaiting refuses all requests that wait now. Later requests are treated as usual.
func (g *Gate) RefuseWaiting(why Reason) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	for len(g.deadlines) > 0 {
		g.refuseWaiter(g.deadlines[0], why, now)
	}
}

// refuseWaiter refuses e, which waits.
func (g *Gate) refuseWaiter(e *entry, why Reason, now time.Duration) {
	w := e.waiter
	g.dequeue(e)
	err := g.refuse(e, why, now)
	g.discard(e)
	w.Settle(err)
}

// Close refuses all waiting and all later requests. Granted tickets stay valid.
func (g *Gate) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for len(g.deadlines) > 0 {
		e := g.deadlines[0]
		g.dequeue(e)
		e.waiter.Settle(ErrClosed)
		g.discard(e)
	}
	if g.timer != nil {
		g.timer.Stop()
	}
}
