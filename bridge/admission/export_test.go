package admission

import (
	"fmt"
	"time"
)

// Check returns an error if an invariant does not hold.
func (g *Gate) Check() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := &checker{g: g, routes: make(map[*route]*routeCount), clients: make(map[*client]*clientCount), addresses: make(map[uint64]*addressCount)}
	c.flight()
	c.queues()
	c.sums()
	return c.err
}

type routeCount struct{ inFlight, aged int }

type checker struct {
	g   *Gate
	err error

	inUse, longInUse, young, aged, knownShort, newRoutes int
	fast, slow                                           map[*client]int
	borrowed, upgrades, upgradesInUse, parked            int
	routes                                               map[*route]*routeCount
	rooms                                                [rooms]int
	clients                                              map[*client]*clientCount
	addresses                                            map[uint64]*addressCount
	nested, nestedIn                                     int
	lanes                                                [lanes]laneCounts // what there is in each now
	abandoned                                            int
	probes                                               int
}

type clientCount struct {
	waits, shorts int
	rooms         [rooms]int
}

type addressCount struct {
	clients                           map[*client]bool
	rooms                             [rooms]int
	blocked, unknown, unknownInFlight int
}

func (c *checker) address(key uint64) *addressCount {
	if c.addresses[key] == nil {
		c.addresses[key] = &addressCount{clients: make(map[*client]bool)}
	}
	return c.addresses[key]
}

func (c *checker) client(f *client) *clientCount {
	if c.clients[f] == nil {
		c.clients[f] = new(clientCount)
	}
	return c.clients[f]
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

// flight counts the requests that hold slots.
func (c *checker) flight() {
	g := c.g
	c.fast, c.slow = map[*client]int{}, map[*client]int{}
	for _, chain := range []*chain[entry]{&g.young, &g.old} {
		for l := chain.head; l != nil; l = l.next {
			e := l.of
			c.inUse++
			c.lanes[e.lane].inFlight++
			if e.aged {
				c.lanes[e.lane].aged++
			}
			if e.abandoned {
				c.abandoned++
			}
			if i := int(e.runningIndex); i >= len(g.running) || g.running[i] != e {
				c.fail("an entry in flight is not at its place in running")
			}
			if e.state != running {
				c.fail("an entry in flight is in state %d", e.state)
			}
			if chain == &g.young && (e.aged || e.declared) {
				c.fail("an aged or declared entry is among the young")
			}
			if l.next != nil && chain == &g.young && l.next.of.ageStart < e.ageStart {
				c.fail("the young are not in order")
			}
			if e.long() {
				c.longInUse++
			}
			if e.upgrade {
				c.upgrades++
				c.upgradesInUse++
			}
			if e.borrows && !e.aged {
				c.borrowed++
			}
			if e.depth > 0 {
				c.nestedIn++
			}
			if e.lane == Unknown {
				c.address(e.addressKey).unknownInFlight++
			}
			if e.lane.class() == fast {
				c.fast[e.client]++
				if e.newRoute && !e.aged {
					c.newRoutes++
				}
				c.route(e.route).inFlight++
				if e.record != nil {
					c.route(e.record).inFlight++
				}
				switch {
				case e.lane == Short && e.newRoute:
				case e.lane == Short:
					c.knownShort++
				case e.aged:
					c.aged++
				default:
					c.young++
				}
			} else {
				c.slow[e.client]++
			}
			if e.countsAsAged {
				c.route(e.route).aged++
				if e.newRoute {
					c.route(e.route.group).aged++
				}
				if !e.client.shared && e.client.agedEntry != e {
					c.fail("a client does not know its aged entry")
				}
			}
			if e.probe > 0 && e.probe == g.stall.suspicion {
				c.probes++
			}
		}
	}
}

// queues counts the requests that wait.
func (c *checker) queues() {
	g := c.g
	for i, e := range g.deadlines {
		if e.upgrade {
			c.upgrades++
		}
		f := c.client(e.client)
		f.waits++
		if e.lane == Short {
			f.shorts++
		}
		f.rooms[e.waitingRoom()]++
		c.rooms[e.waitingRoom()]++
		c.lanes[e.lane].waiting++
		if e.client.address == nil || g.addresses[e.client.address.key] != e.client.address {
			c.fail("a client with waiting requests has no address")
			continue
		}
		address := c.address(e.client.address.key)
		address.clients[e.client] = true
		address.rooms[e.waitingRoom()]++
		if int(e.deadlineIndex) != i || e.state != waiting {
			c.fail("a waiting entry has index %d of %d, state %d", e.deadlineIndex, i, e.state)
		}
		if e.ofClient.in != &e.client.waiting {
			c.fail("a waiting entry is not in its client's list")
		}
		if i > 0 && g.deadlines[(i-1)/2].deadline > e.deadline {
			c.fail("the deadlines are not a heap")
		}
		q := e.client.queue(e.queue)
		switch {
		case e.routeQueue != nil:
			address.blocked++
			if e.link.in != nil || e.routeQueue.waiting[e.roundIndex] != e {
				c.fail("an entry of a route's queue is not where it should be")
			}
			if e.queue == long {
				c.fail("a %v entry is blocked", e.lane)
			}
		case e.link.in == nil:
			c.fail("a waiting entry is nowhere")
		case e.depth > 0:
			c.nested++
			if e.link.in != &g.nesting.waiting {
				c.fail("a nested entry is not in the list of nested ones")
			}
		case e.link.in == &e.client.address.unknownWaiting:
			address.unknown++
		case e.link.in == &g.parkedUpgrades:
			c.parked++
			if !e.upgrade {
				c.fail("a %v entry is among the upgrades", e.lane)
			}
		case e.link.in != &q.waiting:
			c.fail("a %v entry is somewhere", e.lane)
		case q.throttled:
			if q.link.in != &g.throttled {
				c.fail("a throttled queue is not in Gate.throttled")
			}
			if e.queue == fast && e.client.fast == 0 || e.queue != fast && e.client.slow == 0 {
				c.fail("a client is throttled with nothing in flight")
			}
		case q.link.in != &g.rings[e.queue]:
			c.fail("a client with waiting requests is neither throttled nor in the ring")
		}
	}
	// What depends on the time alone is only looked at by ticks.
	now := g.now()
	if g.hasSlot(now) && g.hasSlot(g.ticked) && g.stall.phase == answering && g.rings[fast].n+g.rings[mixed].n > 0 {
		c.fail("a slot is free and %d clients wait for one", g.rings[fast].n+g.rings[mixed].n)
	}
	if g.hasShortSlot(now) && g.hasShortSlot(g.ticked) && g.stall.phase == answering && g.rings[fast].n > 0 {
		c.fail("a slot is free for short requests, and %d clients wait for one", g.rings[fast].n)
	}
	if first := g.rings[long].first(); first != nil && g.hasSlot(now) && g.hasSlot(g.ticked) && g.longAllowed() && g.freeBesideUpgrades(now) && g.freeBesideUpgrades(g.ticked) {
		c.fail("a slot is free beside upgrades, and clients wait for one")
	}
	if g.hasSlot(now) && g.hasSlot(g.ticked) && g.longAllowed() && g.longInUse+g.borrowed < min(g.longSlots(g.longCap, now), g.longSlots(g.longCap, g.ticked)) && g.rings[long].n > 0 {
		c.fail("a slot is free for long requests, and clients wait for one")
	}
}

func (c *checker) sums() {
	g := c.g
	for _, v := range []struct {
		name      string
		got, want int
	}{
		{"inUse", g.inUse, c.inUse},
		{"longInUse", g.longInUse, c.longInUse},
		{"running", len(g.running), c.inUse},
		{"abandoned", g.abandoned, c.abandoned},
		{"unknown.young", g.unknown.young, c.young},
		{"unknown.aged", g.unknown.aged, c.aged},
		{"unknown.newRoutes", g.unknown.newRoutes, c.newRoutes},
		{"probes", g.stall.probes, c.probes},
		{"knownShort", g.knownShort, c.knownShort},
		{"borrowed", g.borrowed, c.borrowed},
		{"waiting, ready", g.waitingIn[roomReady], c.rooms[roomReady]},
		{"waiting, unknown", g.waitingIn[roomUnknown], c.rooms[roomUnknown]},
		{"waiting, parked", g.waitingIn[roomParked], c.rooms[roomParked]},
		{"upgrades", g.upgrades, c.upgrades},
		{"upgrades in flight", g.upgradesInUse, c.upgradesInUse},
		{"parked upgrades", g.parkedUpgrades.n, c.parked},
		{"nested", g.nesting.waiting.n, c.nested},
		{"nested in flight", g.nesting.inFlight, c.nestedIn},
	} {
		if v.got != v.want {
			c.fail("%s is %d, counted %d", v.name, v.got, v.want)
		}
	}
	for l, want := range c.lanes {
		if got := g.counts[l]; got.inFlight != want.inFlight || got.aged != want.aged || got.waiting != want.waiting {
			c.fail("the lane %v has %d in flight, %d aged, %d waiting, counted %d, %d, %d", Lane(l), got.inFlight, got.aged, got.waiting, want.inFlight, want.aged, want.waiting)
		}
	}
	for _, f := range append([]*client{g.anonymous}, c.allClients()...) {
		if int(f.fast) != c.fast[f] || int(f.slow) != c.slow[f] {
			c.fail("client %x has %d fast, %d slow, counted %d, %d", f.key, f.fast, f.slow, c.fast[f], c.slow[f])
		}
		if got, want := (clientCount{f.waiting.n, int(f.waitingShort), [rooms]int{int(f.waitingIn[0]), int(f.waitingIn[1]), int(f.waitingIn[2])}}), *c.client(f); got != want {
			c.fail("client %x has %+v waiting, counted %+v", f.key, got, want)
		}
		if (f.address != nil) != (f.waiting.n > 0) {
			c.fail("client %x has %d waiting, and an address: %v", f.key, f.waiting.n, f.address != nil)
		}
		if busy := f.fast+f.slow > 0 || f.waiting.n > 0; f != g.anonymous && busy == (f.link.in != nil) {
			c.fail("client %x is busy: %v, among the idle: %v", f.key, busy, f.link.in != nil)
		}
	}
	c.addressSums()
	for _, r := range c.known() {
		n := c.routes[r]
		if n == nil {
			n = new(routeCount)
		}
		if r.inFlight != n.inFlight || r.aged != n.aged {
			c.fail("route %q has %d in flight, %d aged, counted %d, %d", r.name, r.inFlight, r.aged, n.inFlight, n.aged)
		}
	}
}

// addressSums compares the counts of addresses.
func (c *checker) addressSums() {
	g := c.g
	if len(g.addresses) != len(c.addresses) {
		c.fail("%d addresses are known, and %d have something here", len(g.addresses), len(c.addresses))
		return
	}
	var inHeaps [rooms]int
	for key, client := range g.addresses {
		n := c.address(key)
		if client.clients.n != len(n.clients) || client.blocked != n.blocked || client.unknownWaiting.n != n.unknown || client.unknownInFlight != n.unknownInFlight {
			c.fail("address %x has %d clients, %d blocked, %d unknown waiting, %d in flight, counted %d, %d, %d, %d",
				key, client.clients.n, client.blocked, client.unknownWaiting.n, client.unknownInFlight, len(n.clients), n.blocked, n.unknown, n.unknownInFlight)
		}
		if in := client.link.in; (in != nil) != (n.unknown > 0) {
			c.fail("address %x has %d unknown waiting, and is in a chain: %v", key, n.unknown, in != nil)
		}
		for i := range rooms {
			count := &client.waitCounts[i]
			if int(count.n) != n.rooms[i] {
				c.fail("address %x has %d in room %d, counted %d", key, count.n, i, n.rooms[i])
			}
			if count.n == 0 {
				continue
			}
			inHeaps[i]++
			if heap := g.waitCounts[i]; heap[count.index] != count || heap[(count.index-1)/2].n < count.n && count.index > 0 {
				c.fail("the counts of room %d are not a heap", i)
			}
		}
	}
	for i := range rooms {
		if len(g.waitCounts[i]) != inHeaps[i] {
			c.fail("%d counts in room %d, counted %d", len(g.waitCounts[i]), i, inHeaps[i])
		}
	}
}

func (c *checker) allClients() (all []*client) {
	for _, f := range c.g.clients.table {
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

// couldStart reports whether e, which waits, could start if no other request waited.
func (g *Gate) couldStart(e *entry, now time.Duration) bool {
	alone := *e
	alone.lane = g.laneOf(&alone, now)
	alone.queue = alone.lane.class()
	return g.mayStart(&alone, now) || g.couldBorrow(&alone, now)
}

// couldBorrow reports whether e waits only for its own client, and nobody else wants the slot.
func (g *Gate) couldBorrow(e *entry, now time.Duration) bool {
	if g.borrowable(now) <= 0 || g.longSlots(g.longCap, now)-g.mayBeLong() <= g.clientLimit || g.belowClientLimit(e.client, e.queue, now) {
		return false
	}
	if e.queue != fast {
		return g.freeForLong(e, now)
	}
	_, full := g.atRouteLimit(e, now)
	return !full && g.leavesClientLimit(e, now)
}
