package admission

import "time"

// flow is who requests come from.
type client struct {
	key    uint64
	shared bool

	queues     [classes]clientQueue
	fast, slow int32 // in flight: started as short or unknown; as mixed or long

	waiting      chain[entry] // in the order they came
	waitingShort int32        // of these, taken for short
	waitingIn    [rooms]int32
	address      *address // whose they count as; nil if none waits
	ofAddress    link[client]

	// budget in worker-seconds: it grows by Config.FlowRate per second and shrinks by
	// one per second and request of fast.
	budget   float64
	budgetAt time.Duration // by the ageing clock
	spent    bool

	agedEntry *entry // the one request of it that may count among its route's aged

	retries       [classes]retry
	workerSeconds decayingSum

	link link[client] // among those that have nothing in the gate
}

// turn is a flow's place in the ring of its class: its requests go in order, the
// flows in turn.
type clientQueue struct {
	client    *client
	class     class
	throttled bool // the flow has in flight what it may
	waiting   chain[entry]
	link      link[clientQueue] // in the ring, or in Gate.holding; in neither if empty
}

type clientTable struct {
	table map[uint64]*client
	idle  chain[client] // least recently used first
	max   int
}

func newClient(key uint64, burst float64, clock time.Duration) *client {
	f := &client{key: key, budget: burst, budgetAt: clock}
	f.link.of, f.ofAddress.of = f, f
	for c := range f.queues {
		q := &f.queues[c]
		q.client, q.class, q.link.of = f, class(c), q
	}
	return f
}

// clientOf returns the flow with a key, which is not among the idle then.
func (g *Gate) clientOf(key uint64, shared bool, now time.Duration) *client {
	if key == 0 || !g.cfg.Lanes {
		return g.anonymous
	}
	f := g.clients.table[key]
	if f == nil {
		f = newClient(key, g.cfg.ClientBurst, g.ageing(now))
		f.shared = shared
		g.clients.table[key] = f
	}
	f.link.leave()
	return f
}

// markIdle puts f among the idle if it has nothing in the gate.
func (g *Gate) markIdle(f *client) {
	if f == g.anonymous || f.fast+f.slow > 0 || f.waiting.n > 0 || f.link.in != nil {
		return
	}
	g.clients.idle.pushBack(&f.link)
	g.clients.trim()
}

// trim forgets those that are too many.
func (fs *clientTable) trim() {
	for fs.idle.n > fs.max {
		old := fs.idle.first()
		old.link.leave()
		delete(fs.table, old.key)
	}
}

// updateBudget brings the budget up to date. A stall does not count. What is long of it
// says nothing of its route once the budget is spent: it is the flow that is slow.
func (g *Gate) updateBudget(f *client, now time.Duration) {
	clock := g.ageing(now)
	if clock <= f.budgetAt {
		return
	}
	f.budget += (g.cfg.ClientRate - float64(f.fast)) * (clock - f.budgetAt).Seconds()
	f.budget = max(0, min(f.budget, g.cfg.ClientBurst))
	f.budgetAt = clock
	switch {
	case f.budget <= 0:
		f.spent = true
		if e := f.agedEntry; e != nil && e.route.mostlyShort() {
			g.uncountAged(e, now)
		}
	case f.budget >= g.cfg.ClientBurst/2:
		f.spent = false
	}
}

// belowClientLimit reports whether another request of class c of the flow may start.
func (g *Gate) belowClientLimit(f *client, c class, now time.Duration) bool {
	switch {
	case f.shared:
		return true
	case c != fast:
		return int(f.slow) < g.clientLimit
	}
	g.updateBudget(f, now)
	if f.spent {
		return int(f.fast) < g.spentLimit
	}
	return int(f.fast) < g.clientLimit
}
