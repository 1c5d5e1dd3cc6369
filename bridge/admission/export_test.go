package admission

import (
	"fmt"
	"time"
)

// Check looks for what must never be.
func (g *Gate) Check() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := &checker{g: g, routes: make(map[*route]*routeCount), flows: make(map[*flow]*flowCount), clients: make(map[uint64]*clientCount)}
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
	fast, slow                              map[*flow]int
	guests                                  int
	routes                                  map[*route]*routeCount
	rooms                                   [rooms]int
	flows                                   map[*flow]*flowCount
	clients                                 map[uint64]*clientCount
	nested, nestedIn                        int
	probes                                  int
}

type flowCount struct {
	waits, shorts int
	rooms         [rooms]int
}

type clientCount struct {
	flows                   map[*flow]bool
	rooms                   [rooms]int
	lined, unknown, finding int
}

func (c *checker) client(key uint64) *clientCount {
	if c.clients[key] == nil {
		c.clients[key] = &clientCount{flows: make(map[*flow]bool)}
	}
	return c.clients[key]
}

func (c *checker) flow(f *flow) *flowCount {
	if c.flows[f] == nil {
		c.flows[f] = new(flowCount)
	}
	return c.flows[f]
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
	c.fast, c.slow = map[*flow]int{}, map[*flow]int{}
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
			if e.guest && !e.aged {
				c.guests++
			}
			if e.depth > 0 {
				c.nestedIn++
			}
			if e.lane == Unknown {
				c.client(e.client).finding++
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
		f := c.flow(e.flow)
		f.waits++
		if e.lane == Short {
			f.shorts++
		}
		f.rooms[e.room()]++
		c.rooms[e.room()]++
		if e.flow.home == nil || g.clients[e.flow.home.key] != e.flow.home {
			c.fail("a flow of which some wait is at home with nobody")
			continue
		}
		home := c.client(e.flow.home.key)
		home.flows[e.flow] = true
		home.rooms[e.room()]++
		if int(e.index) != i || e.state != waiting {
			c.fail("a waiting entry has index %d of %d, state %d", e.index, i, e.state)
		}
		if e.mine.in != &e.flow.waits {
			c.fail("a waiting entry is not among those of its flow")
		}
		if i > 0 && g.deadlines[(i-1)/2].deadline > e.deadline {
			c.fail("the deadlines are not a heap")
		}
		t := &e.flow.turns[e.queue]
		switch {
		case e.in != nil:
			home.lined++
			if e.link.in != nil || e.in.waiting[e.placeInLine] != e {
				c.fail("an entry in a line is not where it should be")
			}
			if e.queue == long {
				c.fail("a %v entry is blocked", e.lane)
			}
		case e.link.in == nil:
			c.fail("a waiting entry is nowhere")
		case e.depth > 0:
			c.nested++
			if e.link.in != &g.nesting.waiting {
				c.fail("a nested entry is not among those")
			}
		case e.link.in == &e.flow.home.unknown:
			home.unknown++
		case e.link.in != &t.waiting:
			c.fail("a %v entry is somewhere", e.lane)
		case t.held:
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
	now := g.now()
	if g.hasSlot(now) && g.hasSlot(g.ticked) && g.stall.phase == flowing && g.rings[fast].n+g.rings[mixed].n > 0 {
		c.fail("a slot is free and %d flows wait for one", g.rings[fast].n+g.rings[mixed].n)
	}
	if g.hasShortSlot(now) && g.hasShortSlot(g.ticked) && g.stall.phase == flowing && g.rings[fast].n > 0 {
		c.fail("a slot is free for short requests, and %d flows wait for one", g.rings[fast].n)
	}
	if g.hasSlot(now) && g.hasSlot(g.ticked) && g.longAllowed() && g.phi+g.guests < min(g.longSlots(g.longCap, now), g.longSlots(g.longCap, g.ticked)) && g.rings[long].n > 0 {
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
		{"guests", g.guests, c.guests},
		{"ready", g.filled[ready], c.rooms[ready]},
		{"finding", g.filled[finding], c.rooms[finding]},
		{"parked", g.filled[parked], c.rooms[parked]},
		{"nested", g.nesting.waiting.n, c.nested},
		{"nested in flight", g.nesting.inFlight, c.nestedIn},
	} {
		if v.got != v.want {
			c.fail("%s is %d, counted %d", v.name, v.got, v.want)
		}
	}
	for _, f := range append([]*flow{g.nobody}, c.allFlows()...) {
		if int(f.fast) != c.fast[f] || int(f.slow) != c.slow[f] {
			c.fail("flow %x has %d fast, %d slow, counted %d, %d", f.key, f.fast, f.slow, c.fast[f], c.slow[f])
		}
		if got, want := (flowCount{f.waits.n, int(f.shorts), [rooms]int{int(f.filled[0]), int(f.filled[1]), int(f.filled[2])}}), *c.flow(f); got != want {
			c.fail("flow %x has %+v waiting, counted %+v", f.key, got, want)
		}
		if (f.home != nil) != (f.waits.n > 0) {
			c.fail("flow %x has %d waiting, and a home: %v", f.key, f.waits.n, f.home != nil)
		}
		if busy := f.fast+f.slow > 0 || f.waits.n > 0; f != g.nobody && busy == (f.link.in != nil) {
			c.fail("flow %x is busy: %v, among the idle: %v", f.key, busy, f.link.in != nil)
		}
	}
	c.homes()
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

// homes counts what clients have in the gate.
func (c *checker) homes() {
	g := c.g
	if len(g.clients) != len(c.clients) {
		c.fail("%d clients are known, and %d have something here", len(g.clients), len(c.clients))
		return
	}
	var inHeaps [rooms]int
	for key, client := range g.clients {
		n := c.client(key)
		if client.flows.n != len(n.flows) || client.lined != n.lined || client.unknown.n != n.unknown || client.finding != n.finding {
			c.fail("client %x has %d flows, %d in lines, %d to find out, %d finding, counted %d, %d, %d, %d",
				key, client.flows.n, client.lined, client.unknown.n, client.finding, len(n.flows), n.lined, n.unknown, n.finding)
		}
		if in := client.link.in; (in != nil) != (n.unknown > 0) {
			c.fail("client %x has %d to find out, and takes part: %v", key, n.unknown, in != nil)
		}
		for i := range rooms {
			crowd := &client.crowds[i]
			if int(crowd.n) != n.rooms[i] {
				c.fail("client %x has %d in room %d, counted %d", key, crowd.n, i, n.rooms[i])
			}
			if crowd.n == 0 {
				continue
			}
			inHeaps[i]++
			if heap := g.crowds[i]; heap[crowd.index] != crowd || heap[(crowd.index-1)/2].n < crowd.n && crowd.index > 0 {
				c.fail("the crowds of room %d are not a heap", i)
			}
		}
	}
	for i := range rooms {
		if len(g.crowds[i]) != inHeaps[i] {
			c.fail("%d crowds in room %d, counted %d", len(g.crowds[i]), i, inHeaps[i])
		}
	}
}

func (c *checker) allFlows() (all []*flow) {
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
	return g.mayStart(&alone, now) || g.couldBeGuest(&alone, now)
}

// couldBeGuest reports whether only its own flow keeps e waiting, and nobody wants the slot.
func (g *Gate) couldBeGuest(e *entry, now time.Duration) bool {
	if g.guestRoom(now) <= 0 || g.longSlots(g.longCap, now)-g.mayBeLong() <= g.flowLimit || g.room(e.flow, e.queue, now) {
		return false
	}
	if e.queue != fast {
		return g.freeForLong(e, now)
	}
	_, full := g.full(e, now)
	return !full && g.leavesRoom(e, now)
}
