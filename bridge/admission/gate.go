package admission

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// tick is how often the gate looks at the time: at what has aged, waited for too
// long, or stalled.
const tick = 50 * time.Millisecond

// Gate admits requests to one application. Its methods may be called at the same
// time.
type Gate struct {
	clock   Clock
	epoch   time.Time
	onStall func(Stall)

	mu      sync.Mutex
	cfg     Config
	closed  bool
	seq     uint64 // of the last entry
	random  *rand.Rand
	timer   Timer         // of the ticks; nil before the first
	ticking bool          // the timer runs: somebody is in the gate, or was a tick ago
	ticked  time.Duration // when it ran last, or began to

	// What the capacity makes of Config.
	slots                   int // slots there are now; at most Config.Workers
	reserve                 int // slots of these in which no long request starts
	unknownLimit            int // requests of unknown routes in flight, at most
	clientLimit, spentLimit int
	longMin                 int

	inUse     int           // slots in use; more than w only after w has fallen
	longInUse int           // of these, held by requests that count as long
	idleSince time.Duration // when in became 0 the last time

	longCap       int           // a long one starts only while phi < longCap <= w - reserve
	longTarget    int           // where longCap is going
	shortNeed     int           // how many slots short requests need, those of unknown routes left aside
	longCapRaised time.Duration // when it was raised last
	unknown       struct {
		young, aged       int            // in flight, started as Unknown
		borrowed          int            // of the young
		newRoutes         int            // young, and young ones that were taken for short by their relatives' record
		active, throttled chain[address] // of which some wait to find out: those that may; those that do already
	}
	borrowed   int // in flight, beyond what their flow or their route may have, and not long yet
	knownShort int // in flight, started as Short because their own route is known to be so

	young chain[entry] // in flight, not declared, not aged: by their start
	old   chain[entry] // the others in flight

	rings         [classes]chain[clientQueue]
	blockedRoutes chain[route]       // those in whose line somebody waits
	throttled     chain[clientQueue] // of flows that have in flight what they may, and more that wait
	nesting       nesting
	waitingIn     [rooms]int
	overloaded    bool // the queue of short ones was full, and has not been empty since
	waitCounts    [rooms]heap[waitCount, bySize]
	deadlines     heap[entry, byDeadline]
	rechecked     int // which of those lookAtWaiting has looked at last
	freeEntries   chain[entry]

	routes    *routes
	clients   clientTable
	anonymous *client // whose flow is not known

	addresses map[uint64]*address // of which some wait, or find out

	needs       [3]int // what load needed in the last seconds: one is not enough to go by
	folds       int
	load        load
	fastSeconds decayingSum // of short and unknown requests, until they are long
	stall       stallState

	counts [lanes]laneCounts

	reportMu sync.Mutex // held while OnStall is called; before mu
	reports  []Stall
}

// New returns a gate with all its slots free.
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
		return time.Since(g.epoch) // reads one clock where Now reads two
	}
	return g.clock.Now().Sub(g.epoch)
}

// remeasure adapts the gate to what the application is believed to hold.
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
	if g.slots <= 4 && g.cfg.Workers > 4 {
		g.longMin = 0
	}
	g.longCap = min(g.longCap, g.slots-g.reserve)
	g.longTarget = min(g.longTarget, g.slots-g.reserve)
}

// Acquire returns a granted ticket as soon as r may start. Else it returns a
// *Refusal, ErrClosed, or ctx's cause if that ends first.
func (g *Gate) Acquire(ctx context.Context, r *Request) (Ticket, error) {
	if ctx.Err() != nil {
		return Ticket{}, context.Cause(ctx)
	}
	var w *waiterChan
	t, granted, err := g.enter(r, func() Waiter {
		w = &waiterChan{make(chan error, 1)}
		return w
	})
	if err != nil || granted {
		return t, err
	}
	if r.Peer != nil {
		r.Peer.Waits(t)
	}
	select {
	case err := <-w.settled:
		if err == nil && ctx.Err() != nil { // it left in the instant it was granted
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

type waiterChan struct{ settled chan error }

func (w *waiterChan) Settle(err error) { w.settled <- err }

// Enter asks for a slot and does not wait for it: the ticket it returns is granted
// already, or w will be told. Its error is a *Refusal or ErrClosed.
func (g *Gate) Enter(r *Request, w Waiter) (Ticket, error) {
	t, _, err := g.enter(r, func() Waiter { return w })
	return t, err
}

// enter is Enter with a Waiter that is made only if it is needed.
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
	e.client = g.clientOf(r.ClientKey, r.Shared, now)
	e.route = g.routes.none
	if g.cfg.Lanes {
		e.route, e.addressKey = g.routes.get(r), r.addressKey()
	}
	if r.Peer != nil {
		g.nesting.lastPeer = max(now, 1)
	}
	e.route.entries++
	e.lane = g.laneOf(e, now)
	e.queue = e.lane.class()
	if g.mayStart(e, now) {
		g.start(e, now)
		return Ticket{g, e, e.seq}, true, nil
	}
	if f := g.clientOfAddress(e, r, now); f != nil {
		own := e.client
		e.client = f
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
	if e.state == running { // it is a guest
		return Ticket{g, e, e.seq}, true, nil
	}
	e.waiter = waiter()
	return Ticket{g, e, e.seq}, false, nil
}

// RefuseWaiting refuses everyone who waits now. Those who come after it are treated as
// ever.
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

// Close refuses everyone who waits and everyone who comes. Granted tickets stay.
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
