package admission

import (
	"fmt"
	"time"
)

// Check looks for what must never be.
func (g *Gate) Check() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := &checker{g: g, routes: make(map[*route]*routeCount)}
	c.flight()
	c.queues()
	c.sums()
	return c.err
}

type routeCount struct{ in, aged int }

type checker struct {
	g   *Gate
	err error

	in, phi, young, aged, shorts, newcomers int
	fast, slow, waiting                     map[*flow]int
	routes                                  map[*route]*routeCount
	queued                                  int
	unknown                                 int
	class                                   [classes]int
	heldFast                                int
	probes                                  int
}

func (c *checker) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

func (c *checker) route(r *route) *routeCount {
	if c.routes[r] == nil {
		c.routes[r] = new(routeCount)
	}
	return c.routes[r]
}

// flight counts what holds a slot.
func (c *checker) flight() {
	g := c.g
	c.fast, c.slow, c.waiting = map[*flow]int{}, map[*flow]int{}, map[*flow]int{}
	for _, chain := range []*chain[entry]{&g.young, &g.old} {
		for l := chain.head; l != nil; l = l.next {
			e := l.of
			c.in++
			if e.state != running {
				c.fail("an entry in flight is in state %d", e.state)
			}
			if chain == &g.young && (e.aged || e.declared) {
				c.fail("an aged or declared entry is among the young")
			}
			if l.next != nil && chain == &g.young && l.next.of.age0 < e.age0 {
				c.fail("the young are not in order")
			}
			if e.long() {
				c.phi++
			}
			if e.lane.class() == fast {
				c.fast[e.flow]++
				if e.newcomer && !e.aged {
					c.newcomers++
				}
				c.route(e.route).in++
				if e.judge != nil {
					c.route(e.judge).in++
				}
				switch {
				case e.lane == Short && e.newcomer:
				case e.lane == Short:
					c.shorts++
				case e.aged:
					c.aged++
				default:
					c.young++
				}
			} else {
				c.slow[e.flow]++
			}
			if e.counts {
				c.route(e.route).aged++
				if e.newcomer {
					c.route(e.route.group).aged++
				}
				if !e.flow.shared && e.flow.counted != e {
					c.fail("a flow does not know which of its requests counts")
				}
			}
			if e.probe > 0 && e.probe == g.stall.number {
				c.probes++
			}
		}
	}
}

// queues counts what waits.
func (c *checker) queues() {
	g := c.g
	for i, e := range g.deadlines {
		c.queued++
		c.class[e.queue]++
		if e.lane == Unknown {
			c.unknown++
		}
		c.waiting[e.flow]++
		if e.index != i || e.state != waiting {
			c.fail("a waiting entry has index %d of %d, state %d", e.index, i, e.state)
		}
		if i > 0 && g.deadlines[(i-1)/2].deadline > e.deadline {
			c.fail("the deadlines are not a heap")
		}
		t := &e.flow.turns[e.queue]
		switch {
		case e.link.in == nil:
			c.fail("a waiting entry is nowhere")
		case e.link.in != &t.waiting:
			if e.queue == long {
				c.fail("a %v entry is blocked", e.lane)
			}
		case t.held:
			if e.lane == Short {
				c.heldFast++
			}
			if t.link.in != &g.holding {
				c.fail("a flow that is held is not among those")
			}
			if e.queue == fast && e.flow.fast == 0 || e.queue != fast && e.flow.slow == 0 {
				c.fail("a flow is held with nothing in flight")
			}
		case t.link.in != &g.rings[e.queue]:
			c.fail("a flow with waiting requests is neither held nor in the ring")
		}
	}
	// What depends on the time alone is looked at by ticks only.
	if g.in < g.w && g.stall.phase == flowing && g.rings[fast].n+g.rings[mixed].n > 0 {
		c.fail("a slot is free and %d flows wait for one", g.rings[fast].n+g.rings[mixed].n)
	}
	if g.in < g.w && g.longAllowed() && g.phi < g.longCap && g.rings[long].n > 0 {
		c.fail("a slot is free for long requests, and flows wait for one")
	}
}

func (c *checker) sums() {
	g := c.g
	for _, v := range []struct {
		name      string
		got, want int
	}{
		{"in", g.in, c.in},
		{"phi", g.phi, c.phi},
		{"unknown.young", g.unknown.young, c.young},
		{"unknown.aged", g.unknown.aged, c.aged},
		{"unknown.newcomers", g.unknown.newcomers, c.newcomers},
		{"probes", g.stall.probes, c.probes},
		{"shorts", g.shorts, c.shorts},
		{"waiting short", g.waiting[fast], c.class[fast]},
		{"waiting mixed", g.waiting[mixed], c.class[mixed]},
		{"waiting long", g.waiting[long], c.class[long]},
		{"unknown.waiting", g.unknown.waiting, c.unknown},
		{"held", g.held, c.heldFast},
	} {
		if v.got != v.want {
			c.fail("%s is %d, counted %d", v.name, v.got, v.want)
		}
	}
	for _, f := range append([]*flow{g.nobody}, c.flows()...) {
		if f.fast != c.fast[f] || f.slow != c.slow[f] || f.waiting != c.waiting[f] {
			c.fail("flow %x has %d fast, %d slow, %d waiting, counted %d, %d, %d",
				f.key, f.fast, f.slow, f.waiting, c.fast[f], c.slow[f], c.waiting[f])
		}
		if busy := f.fast+f.slow+f.waiting > 0; f != g.nobody && busy == (f.link.in != nil) {
			c.fail("flow %x is busy: %v, among the idle: %v", f.key, busy, f.link.in != nil)
		}
	}
	for _, r := range c.known() {
		n := c.routes[r]
		if n == nil {
			n = new(routeCount)
		}
		if r.in != n.in || r.aged != n.aged {
			c.fail("route %q has %d in flight, %d aged, counted %d, %d", r.name, r.in, r.aged, n.in, n.aged)
		}
	}
}

func (c *checker) flows() (all []*flow) {
	for _, f := range c.g.flows.table {
		all = append(all, f)
	}
	return all
}

func (c *checker) known() (all []*route) {
	for _, r := range c.g.routes.table {
		all = append(all, r)
	}
	for _, r := range c.g.routes.groups {
		all = append(all, r)
	}
	for r := range c.routes {
		all = append(all, r)
	}
	return all
}

// couldStart reports whether e, which waits, could start if it were the only one.
func (g *Gate) couldStart(e *entry, now time.Duration) bool {
	alone := *e
	alone.lane = g.laneOf(&alone, now)
	alone.queue = alone.lane.class()
	return g.mayStart(&alone, now)
}
