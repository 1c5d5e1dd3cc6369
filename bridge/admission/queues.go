package admission

import "time"

// A request waits in one of four places: in its flow's queue, for the flow's turn and a
// slot; in the line of its route (or group), because others of the kind must end first;
// among those of its client that wait to find out about unknown routes; or, if it is
// nested, before all others.

// enqueue puts e at the end of its flow's queue.
func (g *Gate) enqueue(e *entry) {
	q := &e.client.queues[e.queue]
	q.waiting.pushBack(&e.link)
	g.activate(q)
}

// activate has a flow take part whose queue t somebody has just come to.
func (g *Gate) activate(q *clientQueue) {
	switch {
	case q.link.in != nil:
	case q.throttled:
		g.throttled.pushBack(&q.link)
	default:
		g.rings[q.class].pushBack(&q.link)
	}
}

// dequeue takes e out of wherever it waits.
func (g *Gate) dequeue(e *entry) {
	g.unlink(e)
	g.removeWaiting(e)
	g.deadlines.remove(e)
}

// unlink takes e out of its flow's queue or from where it is blocked, and reports
// whether it was the former.
func (g *Gate) unlink(e *entry) (queued bool) {
	if e.routeQueue != nil {
		e.routeQueue.remove(e)
		return false
	}
	q := &e.client.queues[e.queue]
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

// discard forgets e, which is in no queue and holds no slot.
func (g *Gate) discard(e *entry) {
	f := e.client
	e.route.entries--
	g.recycle(e)
	g.markIdle(f)
}

// throttle takes a flow that has in flight what it may out of the ring.
func (g *Gate) throttle(q *clientQueue) {
	q.link.leave()
	g.setThrottled(q, true)
	g.throttled.pushBack(&q.link)
}

// unthrottle lets it take part again.
func (g *Gate) unthrottle(q *clientQueue) {
	if !q.throttled {
		return
	}
	q.link.leave()
	g.setThrottled(q, false)
	if q.waiting.n > 0 {
		g.rings[q.class].pushBack(&q.link)
	}
}

// setThrottled is the one place where turn.held changes: short requests of a flow that is held
// do not wait for a slot.
func (g *Gate) setThrottled(q *clientQueue, held bool) {
	q.throttled = held
	if q.class != fast || q.client.address == nil {
		return
	}
	n := int(q.client.waitingShort)
	if !held {
		n = -n
	}
	g.countWaiting(q.client, roomReady, -n)
	g.countWaiting(q.client, roomParked, n)
}

// block moves e from its flow's queue, so that it does not hold up the rest of its
// flow, to the line of r, or, if r is nil, among those that wait to find out.
func (g *Gate) block(e *entry, r *route) {
	g.unlink(e)
	if r == nil {
		c := e.client.address
		c.unknownWaiting.insert(&e.link, e.before)
		if c.link.in == nil {
			g.unknown.active.pushBack(&c.link)
		}
		return
	}
	r.blocked.add(e)
	if r.blockedLink.in == nil {
		g.blockedRoutes.pushBack(&r.blockedLink)
	}
}

// unblock moves the first n of a line back to their flows' queues.
func (g *Gate) unblock(l *routeQueue, n int) {
	for ; n > 0 && l.n() > 0; n-- {
		e := l.first()
		l.remove(e)
		g.requeue(e)
	}
}

// requeue puts e into its flow's queue, where it would be had it been there since it
// came.
func (g *Gate) requeue(e *entry) {
	q := &e.client.queues[e.queue]
	q.waiting.insert(&e.link, e.before)
	g.activate(q)
}

// setLane takes e, which waits, for another lane.
func (g *Gate) setLane(e *entry, lane Lane) {
	if e.lane == lane {
		return
	}
	g.countWaiting(e.client, e.waitingRoom(), -1)
	e.client.countShort(e, -1)
	e.lane, e.queue = lane, lane.class()
	e.client.countShort(e, 1)
	g.countWaiting(e.client, e.waitingRoom(), 1)
}

// count counts e among the short ones of f that wait, or no longer.
func (f *client) countShort(e *entry, by int) {
	if e.lane == Short {
		f.waitingShort += int32(by)
	}
}

// relane takes e, which waits, for a lane of another class. Its patience is that of the
// lane it waits in, from its arrival on; what it was promised stays.
func (g *Gate) relane(e *entry, to Lane) {
	queued := e.link.in == &e.client.queues[e.queue].waiting
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

// unblockRoute lets the first ones in r's line take part again, as many as there is room for.
func (g *Gate) unblockRoute(r *route, now time.Duration) {
	if r.blocked.n() > 0 {
		g.unblock(&r.blocked, g.unblockable(r, now))
	}
	if r.blocked.n() == 0 {
		r.blockedLink.leave()
	}
}

// unblockable is how many of those in r's line may go on.
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
	return batch // the long ones have a queue of their own
}

// releaseUnknown lets as many take part again as may find out now, one of each client in
// turn. A client that has no more places is passed over until one of its own ends.
func (g *Gate) releaseUnknown() {
	u := &g.unknown
	if u.active.n == 0 {
		return
	}
	for n := g.unknownAllowed(nil); n > 0 && u.active.n > 0; {
		c := u.active.first()
		c.link.leave()
		if g.unknownAllowed(c) <= 0 {
			u.throttled.pushBack(&c.link)
			continue
		}
		u.active.pushBack(&c.link)
		g.releaseFirst(c)
		n--
	}
}

// releaseFirst lets the first of a client's take part again that wait to find out.
func (g *Gate) releaseFirst(c *address) {
	e := c.unknownWaiting.first()
	g.unlink(e)
	g.requeue(e)
}

// batch is how many of each kind a tick looks at again, and the next tick at the
// next ones.
const batch = 64

// recheck finds those who were passed over: what held them up may have ended
// without a sign, as when somebody left who had been let in before them.
func (g *Gate) recheck(now time.Duration) {
	g.recheckRoutes(batch, now)
	g.recheckWaiting(now)
	for range min(g.unknown.throttled.n, batch) {
		c := g.unknown.throttled.first()
		c.link.leave()
		g.unknown.active.pushBack(&c.link)
	}
	g.releaseUnknown()
	g.recheckThrottled(batch, now)
	if g.stall.phase.stopped() && g.rings[fast].n == 0 && g.mayProbe(now) {
		g.releaseProbe()
	}
}

// recheckThrottled looks at some of the flows that are held, in turn, and lets those take part
// again that may have more in flight.
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

// recheckWaiting finds those whose routes have turned out to be something else: among those
// in the queue of long ones, which need not wait for long ones to end, among those that wait
// to find out, and in the lines of groups, whose record they are not taken by any more.
func (g *Gate) recheckWaiting(now time.Duration) {
	n := len(g.deadlines)
	for range min(n, max(4*batch, n/20)) {
		g.rechecked = (g.rechecked + 1) % n
		e := g.deadlines[g.rechecked]
		finds := e.link.in == &e.client.address.unknownWaiting
		switch {
		case e.routeQueue != nil && e.routeQueue != &e.route.blocked && e.route.known():
			g.unlink(e)
			g.requeue(e)
			continue
		case e.declared || e.queue != long && !finds:
			continue
		}
		switch lane := g.laneOf(e, now); {
		case finds && lane != Unknown:
			g.unlink(e)
			g.requeue(e)
		case !finds && lane.class() != long:
			g.relane(e, lane)
		}
	}
}

// recheckRoutes does letIn for some routes, in turn.
func (g *Gate) recheckRoutes(n int, now time.Duration) {
	for range min(n, g.blockedRoutes.n) {
		r := g.blockedRoutes.first()
		r.blockedLink.leave()
		g.blockedRoutes.pushBack(&r.blockedLink)
		g.unblockRoute(r, now)
	}
}

// releaseProbe lets one request in that can find out whether the application answers.
func (g *Gate) releaseProbe() {
	for l, n := g.blockedRoutes.head, 0; l != nil && n < batch; l, n = l.next, n+1 {
		if e := l.of.blocked.first(); e != nil && e.queue == fast {
			g.unblock(&l.of.blocked, 1)
			return
		}
	}
	for _, clients := range [...]*chain[address]{&g.unknown.active, &g.unknown.throttled} {
		if c := clients.first(); c != nil {
			g.releaseFirst(c)
			return
		}
	}
}
