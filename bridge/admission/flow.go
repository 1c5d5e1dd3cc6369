package admission

import "time"

// flow is who requests come from.
type flow struct {
	key    uint64
	shared bool

	turns      [classes]turn
	fast, slow int32 // in flight: started as short or unknown; as mixed or long

	waits     chain[entry] // in the order they came
	shorts    int32        // of these, taken for short
	filled    [rooms]int32
	home      *client // whose they count as; nil if none waits
	neighbour link[flow]

	// budget in worker-seconds: it grows by Config.FlowRate per second and shrinks by
	// one per second and request of fast.
	budget  float64
	settled time.Duration // by the ageing clock
	spent   bool

	counted *entry // the one request of it that may count among its route's aged

	retries [classes]retry
	busy    work

	link link[flow] // among those that have nothing in the gate
}

// turn is a flow's place in the ring of its class: its requests go in order, the
// flows in turn.
type turn struct {
	flow    *flow
	class   class
	held    bool // the flow has in flight what it may
	waiting chain[entry]
	link    link[turn] // in the ring, or in Gate.holding; in neither if empty
}

type flows struct {
	table map[uint64]*flow
	idle  chain[flow] // least recently used first
	max   int
}

func newFlow(key uint64, burst float64, clock time.Duration) *flow {
	f := &flow{key: key, budget: burst, settled: clock}
	f.link.of, f.neighbour.of = f, f
	for c := range f.turns {
		t := &f.turns[c]
		t.flow, t.class, t.link.of = f, class(c), t
	}
	return f
}

// flowOf returns the flow with a key, which is not among the idle then.
func (g *Gate) flowOf(key uint64, shared bool, now time.Duration) *flow {
	if key == 0 || !g.cfg.Lanes {
		return g.nobody
	}
	f := g.flows.table[key]
	if f == nil {
		f = newFlow(key, g.cfg.FlowBurst, g.ageing(now))
		f.shared = shared
		g.flows.table[key] = f
	}
	f.link.leave()
	return f
}

// rest puts f among the idle if it has nothing in the gate.
func (g *Gate) rest(f *flow) {
	if f == g.nobody || f.fast+f.slow > 0 || f.waits.n > 0 || f.link.in != nil {
		return
	}
	g.flows.idle.pushBack(&f.link)
	g.flows.trim()
}

// trim forgets those that are too many.
func (fs *flows) trim() {
	for fs.idle.n > fs.max {
		old := fs.idle.first()
		old.link.leave()
		delete(fs.table, old.key)
	}
}

// settle brings the budget up to date. A stall does not count. What is long of it
// says nothing of its route once the budget is spent: it is the flow that is slow.
func (g *Gate) settle(f *flow, now time.Duration) {
	clock := g.ageing(now)
	if clock <= f.settled {
		return
	}
	f.budget += (g.cfg.FlowRate - float64(f.fast)) * (clock - f.settled).Seconds()
	f.budget = max(0, min(f.budget, g.cfg.FlowBurst))
	f.settled = clock
	switch {
	case f.budget <= 0:
		f.spent = true
		if e := f.counted; e != nil && e.route.shortForMost() {
			g.uncount(e, now)
		}
	case f.budget >= g.cfg.FlowBurst/2:
		f.spent = false
	}
}

// room reports whether another request of class c of the flow may start.
func (g *Gate) room(f *flow, c class, now time.Duration) bool {
	switch {
	case f.shared:
		return true
	case c != fast:
		return int(f.slow) < g.flowLimit
	}
	g.settle(f, now)
	if f.spent {
		return int(f.fast) < g.spentLimit
	}
	return int(f.fast) < g.flowLimit
}
