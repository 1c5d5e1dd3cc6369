package admission

import "time"

// A request waits in one of five places: in the queue of its client, for the client's turn and a
// slot; in the queue of its route (or group), for others of that to end; in unknownWaiting of its
// address, for a place among the unknown requests in flight; if it is nested, in nesting.waiting; or,
// if it is an upgrade, in parkedUpgrades.

// enqueue adds e to its client's queue.
func (g *Gate) enqueue(e *entry) {
	q := e.client.queue(e.queue)
	q.waiting.pushBack(&e.link)
	g.activate(q)
}

// activate adds q, which is not empty, to the ring of its class or to the throttled queues.
func (g *Gate) activate(q *clientQueue) {
	switch {
	case q.link.in != nil:
	case q.throttled:
		g.throttled.pushBack(&q.link)
	default:
		g.rings[q.class].pushBack(&q.link)
	}
}

// dequeue removes e from the place where it waits.
func (g *Gate) dequeue(e *entry) {
	g.unlink(e)
	g.removeWaiting(e)
	g.deadlines.remove(e)
}

// unlink removes e from the place where it waits, but not from the counts and deadlines. It reports
// whether that was its client's queue.
func (g *Gate) unlink(e *entry) (queued bool) {
	if e.routeQueue != nil {
		e.routeQueue.remove(e)
		return false
	}
	q := e.client.queue(e.queue)
	switch e.link.in {
	case &q.waiting:
		e.link.leave()
		if q.waiting.n == 0 {
			q.link.leave()
		}
		return true
	case &e.client.address.unknownWaiting:
		e.link.leave()
		if e.client.address.unknownWaiting.n == 0 {
			e.client.address.link.leave()
		}
	default:
		e.link.leave()
	}
	return false
}

// discard ends e, which is in no queue and holds no slot.
func (g *Gate) discard(e *entry) {
	c := e.client
	e.route.entries--
	if e.upgrade {
		g.upgrades--
	}
	g.recycle(e)
	g.markIdle(c)
}

// throttle takes q, whose client is at its limit, out of the ring.
func (g *Gate) throttle(q *clientQueue) {
	q.link.leave()
	g.setThrottled(q, true)
	g.throttled.pushBack(&q.link)
}

// unthrottle puts q back into the ring. q may be nil.
func (g *Gate) unthrottle(q *clientQueue) {
	if q == nil || !q.throttled {
		return
	}
	q.link.leave()
	g.setThrottled(q, false)
	if q.waiting.n > 0 {
		g.rings[q.class].pushBack(&q.link)
	}
}

// setThrottled is the only place where clientQueue.throttled changes. Short requests of a client
// that is throttled do not wait for a slot, so they change rooms.
func (g *Gate) setThrottled(q *clientQueue, throttled bool) {
	q.throttled = throttled
	if q.class != fast || q.client.address == nil {
		return
	}
	n := int(q.client.waitingShort)
	if !throttled {
		n = -n
	}
	g.countWaiting(q.client, roomReady, -n)
	g.countWaiting(q.client, roomParked, n)
}

// block moves e out of its client's queue, so that it does not hold up other requests of the
// client: to the queue of r or, if r is nil, to the unknown requests that wait.
func (g *Gate) block(e *entry, r *route) {
	g.unlink(e)
	if r == nil {
		a := e.client.address
		a.unknownWaiting.insert(&e.link, e.before)
		if a.link.in == nil {
			g.unknown.active.pushBack(&a.link)
		}
		return
	}
	r.blocked.add(e)
	if r.blockedLink.in == nil {
		g.blockedRoutes.pushBack(&r.blockedLink)
	}
}

// unblock moves the first n requests of a route's queue back to their clients' queues.
func (g *Gate) unblock(l *routeQueue, n int) {
	for ; n > 0 && l.n() > 0; n-- {
		e := l.first()
		l.remove(e)
		g.requeue(e)
	}
}

// requeue inserts e into its client's queue by the order of arrival.
func (g *Gate) requeue(e *entry) {
	q := e.client.queue(e.queue)
	q.waiting.insert(&e.link, e.before)
	g.activate(q)
}

// setLane changes the lane of e, which waits.
func (g *Gate) setLane(e *entry, lane Lane) {
	if e.lane == lane {
		return
	}
	g.countWaiting(e.client, e.waitingRoom(), -1)
	e.client.countShort(e, -1)
	g.counts[e.lane].waiting--
	e.lane, e.queue = lane, lane.class()
	g.counts[e.lane].waiting++
	e.client.countShort(e, 1)
	g.countWaiting(e.client, e.waitingRoom(), 1)
}

// countShort adds by to the waiting short requests of c if e is one.
func (c *client) countShort(e *entry, by int) {
	if e.lane == Short {
		c.waitingShort += int32(by)
	}
}

// relane changes the lane of e, which waits, to one of another class, and its queue. The deadline
// is that of the new lane, counted from e's arrival, unless the old one is later.
func (g *Gate) relane(e *entry, to Lane) {
	queued := e.link.in == &e.client.queue(e.queue).waiting
	if queued {
		g.unlink(e)
	}
	g.setLane(e, to)
	if e.queue != fast {
		g.extend(e)
	}
	if queued {
		g.requeue(e)
	}
}

// unblockRoute unblocks the first requests of r's queue, as many as r has room for.
func (g *Gate) unblockRoute(r *route, now time.Duration) {
	if r.blocked.n() > 0 {
		g.unblock(&r.blocked, g.unblockable(r, now))
	}
	if r.blocked.n() == 0 {
		r.blockedLink.leave()
	}
}

// unblockable returns how many requests of r's queue have room now.
func (g *Gate) unblockable(r *route, now time.Duration) int {
	if r.group == nil {
		return g.routeShare(r, now) - r.inFlight
	}
	e := r.blocked.first()
	switch g.laneOf(e, now).class() {
	case fast:
		return g.routeLimit(r, now) - r.inFlight
	case mixed:
		return max(g.mixedCap(e.route, now)-g.longInUse-g.borrowed, g.idleSlot(now))
	}
	return batch // all: long requests have a queue of their own
}

// releaseUnknown moves as many unknown requests as may start now to their clients' queues, one of
// each address in turn. An address that has too many in flight is passed over until one of these
// ends.
func (g *Gate) releaseUnknown() {
	u := &g.unknown
	if u.active.n == 0 {
		return
	}
	for n := g.unknownAllowed(nil); n > 0 && u.active.n > 0; {
		a := u.active.first()
		a.link.leave()
		if g.unknownAllowed(a) <= 0 {
			u.throttled.pushBack(&a.link)
			continue
		}
		u.active.pushBack(&a.link)
		g.releaseFirst(a)
		n--
	}
}

// releaseFirst moves the first waiting unknown request of an address to its client's queue.
func (g *Gate) releaseFirst(a *address) {
	e := a.unknownWaiting.first()
	g.unlink(e)
	g.requeue(e)
}

// batch is how many requests or queues of each kind a tick looks at. The next tick goes on with the
// next ones.
const batch = 64

// recheck looks at requests that were passed over. The reason may have gone without an event: for
// example, the request that was unblocked instead of this one may have left.
func (g *Gate) recheck(now time.Duration) {
	g.recheckRoutes(batch, now)
	g.recheckWaiting(now)
	for range min(g.unknown.throttled.n, batch) {
		a := g.unknown.throttled.first()
		a.link.leave()
		g.unknown.active.pushBack(&a.link)
	}
	g.releaseUnknown()
	g.recheckThrottled(batch, now)
	if g.stall.phase.stopped() && g.rings[fast].n == 0 && g.mayProbe(now) {
		g.releaseProbe()
	}
}

// recheckThrottled looks at the next n throttled queues, and puts those back into the ring whose
// clients are below their limits.
func (g *Gate) recheckThrottled(n int, now time.Duration) {
	for range min(n, g.throttled.n) {
		q := g.throttled.first()
		q.link.leave()
		g.throttled.pushBack(&q.link)
		if g.belowClientLimit(q.client, q.class, now) {
			g.unthrottle(q)
		}
	}
}

// recheckWaiting looks for waiting requests whose lane has changed: long ones that need not wait
// for long ones to end any more, short ones that are not short any more and may start where short
// ones may not, unknown ones whose route is known now, and requests in the queues of groups whose own
// route's record counts now.
func (g *Gate) recheckWaiting(now time.Duration) {
	n := len(g.deadlines)
	for range min(n, max(4*batch, n/20)) {
		g.rechecked = (g.rechecked + 1) % n
		e := g.deadlines[g.rechecked]
		finds := e.link.in == &e.client.address.unknownWaiting
		short := e.queue == fast && e.link.in == &e.client.queue(fast).waiting
		switch {
		case e.routeQueue != nil && e.routeQueue != &e.route.blocked && e.route.known():
			g.unlink(e)
			g.requeue(e)
			continue
		case e.declared || e.queue != long && !finds && !short:
			continue
		}
		switch lane := g.laneOf(e, now); {
		case finds && lane != Unknown:
			g.unlink(e)
			g.requeue(e)
		case short && lane.class() != fast, e.queue == long && lane.class() != long:
			g.relane(e, lane)
		}
	}
}

// recheckRoutes calls unblockRoute for the next n routes with blocked requests.
func (g *Gate) recheckRoutes(n int, now time.Duration) {
	for range min(n, g.blockedRoutes.n) {
		r := g.blockedRoutes.first()
		r.blockedLink.leave()
		g.blockedRoutes.pushBack(&r.blockedLink)
		g.unblockRoute(r, now)
	}
}

// releaseProbe moves one blocked request, which can be a probe, to its client's queue.
func (g *Gate) releaseProbe() {
	for l, n := g.blockedRoutes.head, 0; l != nil && n < batch; l, n = l.next, n+1 {
		if e := l.of.blocked.first(); e != nil && e.queue == fast {
			g.unblock(&l.of.blocked, 1)
			return
		}
	}
	for _, addresses := range [...]*chain[address]{&g.unknown.active, &g.unknown.throttled} {
		if a := addresses.first(); a != nil {
			g.releaseFirst(a)
			return
		}
	}
}
