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

	mu     sync.Mutex
	cfg    Config
	closed bool
	seq    uint64 // of the last entry
	random *rand.Rand
	timer  Timer         // of the ticks; nil before the first
	ticks  bool          // the timer runs: somebody is in the gate, or was a tick ago
	ticked time.Duration // when it ran last, or began to

	// What the capacity makes of Config.
	w                     int // slots there are now; at most Config.Workers
	reserve               int // slots of these in which no long request starts
	u                     int // requests of unknown routes in flight, at most
	flowLimit, spentLimit int
	longMin               int

	in      int           // slots in use; more than w only after w has fallen
	phi     int           // of these, held by requests that count as long
	emptied time.Duration // when in became 0 the last time

	longCap   int           // a long one starts only while phi < longCap <= w - reserve
	target    int           // where longCap is going
	shortNeed int           // how many slots short requests need, those of unknown routes left aside
	raised    time.Duration // when it was raised last
	unknown   struct {
		young, aged int           // in flight, started as Unknown
		guests      int           // of the young
		newcomers   int           // young, and young ones that were taken for short by their relatives' record
		ring, held  chain[client] // of which some wait to find out: those that may; those that do already
	}
	guests int // in flight, beyond what their flow or their route may have, and not long yet
	shorts int // in flight, started as Short because their own route is known to be so

	young chain[entry] // in flight, not declared, not aged: by their start
	old   chain[entry] // the others in flight

	rings     [classes]chain[turn]
	lines     chain[route] // those in whose line somebody waits
	holding   chain[turn]  // of flows that have in flight what they may, and more that wait
	nesting   nesting
	filled    [rooms]int
	overfull  bool // the queue of short ones was full, and has not been empty since
	crowds    [rooms]heap[crowd, bySize]
	deadlines heap[entry, byDeadline]
	looked    int // which of those lookAtWaiting has looked at last
	vacant    chain[entry]

	routes *routes
	flows  flows
	nobody *flow // whose flow is not known

	clients map[uint64]*client // of which some wait, or find out

	needs    [3]int // what load needed in the last seconds: one is not enough to go by
	folds    int
	load     load
	fastWork work // of short and unknown requests, until they are long
	stall    stallState

	lane [lanes]laneCounts

	reportMu sync.Mutex // held while OnStall is called; before mu
	reports  []Stall
}

// New returns a gate with all its slots free.
func New(cfg Config) (*Gate, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	g := &Gate{cfg: cfg, clock: cfg.Clock, onStall: cfg.OnStall, routes: newRoutes(), clients: make(map[uint64]*client)}
	if g.clock == nil {
		g.clock = systemClock{}
	}
	g.epoch = g.clock.Now()
	seed := uint64(g.epoch.UnixNano())
	g.random = rand.New(rand.NewPCG(seed, seed>>1))
	g.routes.limit(cfg.Routes)
	g.flows = flows{table: make(map[uint64]*flow), max: cfg.Flows}
	g.nobody = newFlow(0, cfg.FlowBurst, 0)
	g.nobody.shared = true
	g.resize(cfg.Workers)
	g.target = g.w - g.reserve
	g.longCap = min(max(1, cfg.LongMin), g.target)
	g.raised = time.Second - raiseAfter // not before the first estimate
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
	g.w = max(1, min(n, g.cfg.Workers))
	scale := func(v int) int { return (v*g.w + g.cfg.Workers - 1) / g.cfg.Workers }
	g.reserve = min(scale(g.cfg.Reserve), g.w-1)
	g.u = max(1, scale(g.cfg.Unknown))
	g.flowLimit = min(g.cfg.FlowLimit, max(2, scale(g.cfg.FlowLimit)))
	g.spentLimit = max(1, scale(g.cfg.SpentLimit))
	g.longMin = min(g.cfg.LongMin, g.w-g.reserve)
	if g.w <= 4 && g.cfg.Workers > 4 {
		g.longMin = 0
	}
	g.longCap = min(g.longCap, g.w-g.reserve)
	g.target = min(g.target, g.w-g.reserve)
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
	g.keepTime()
	g.wake(now)
	e := g.vacancy(r, now)
	e.flow = g.flowOf(r.Flow, r.Shared, now)
	e.route = g.routes.none
	if g.cfg.Lanes {
		e.route, e.client = g.routes.get(r), r.clientKey()
	}
	if r.Peer != nil {
		g.nesting.peers = max(now, 1)
	}
	e.route.entries++
	e.lane = g.laneOf(e, now)
	e.queue = e.lane.class()
	if g.mayStart(e, now) {
		g.start(e, now)
		return Ticket{g, e, e.seq}, true, nil
	}
	if f := g.crowded(e, r, now); f != nil {
		own := e.flow
		e.flow = f
		g.rest(own)
	}
	if why, refused := g.mustRefuse(e, now); refused {
		err := g.refuse(e, why, now)
		g.drop(e)
		return Ticket{}, false, err
	}
	e.state = waiting
	e.deadline, e.patient = now+g.patience(e.queue), e.queue != fast
	g.deadlines.push(e)
	g.moveIn(e)
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
		g.expel(g.deadlines[0], why, now)
	}
}

// expel refuses e, which waits.
func (g *Gate) expel(e *entry, why Reason, now time.Duration) {
	w := e.waiter
	g.takeOut(e)
	err := g.refuse(e, why, now)
	g.drop(e)
	w.Settle(err)
}

// Close refuses everyone who waits and everyone who comes. Granted tickets stay.
func (g *Gate) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for len(g.deadlines) > 0 {
		e := g.deadlines[0]
		g.takeOut(e)
		e.waiter.Settle(ErrClosed)
		g.drop(e)
	}
	if g.timer != nil {
		g.timer.Stop()
	}
}
