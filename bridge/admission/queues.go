package admission

import "time"

// A request waits in one of four places: in its flow's queue, for the flow's turn and a
// slot; in the line of its route (or group), because others of the kind must end first;
// among those of its client that wait to find out about unknown routes; or, if it is
// nested, before all others.

// enqueue puts e at the end of its flow's queue.
func (g *Gate) enqueue(e *entry) {
	t := &e.flow.turns[e.queue]
	t.waiting.pushBack(&e.link)
	g.join(t)
}

// join has a flow take part whose queue t somebody has just come to.
func (g *Gate) join(t *turn) {
	switch {
	case t.link.in != nil:
	case t.held:
		g.holding.pushBack(&t.link)
	default:
		g.rings[t.class].pushBack(&t.link)
	}
}

// takeOut takes e out of wherever it waits.
func (g *Gate) takeOut(e *entry) {
	g.unlink(e)
	g.moveOut(e)
	g.deadlines.remove(e)
}

// unlink takes e out of its flow's queue or from where it is blocked, and reports
// whether it was the former.
func (g *Gate) unlink(e *entry) (queued bool) {
	if e.in != nil {
		e.in.remove(e)
		return false
	}
	t := &e.flow.turns[e.queue]
	switch e.link.in {
	case &t.waiting:
		e.link.leave()
		if t.waiting.n == 0 {
			t.link.leave()
		}
		return true
	case &e.flow.home.unknown:
		e.link.leave()
		if e.flow.home.unknown.n == 0 {
			e.flow.home.link.leave()
		}
	default:
		e.link.leave()
	}
	return false
}

// drop forgets e, which is in no queue and holds no slot.
func (g *Gate) drop(e *entry) {
	f := e.flow
	e.route.entries--
	g.vacate(e)
	g.rest(f)
}

// hold takes a flow that has in flight what it may out of the ring.
func (g *Gate) hold(t *turn) {
	t.link.leave()
	g.setHeld(t, true)
	g.holding.pushBack(&t.link)
}

// unhold lets it take part again.
func (g *Gate) unhold(t *turn) {
	if !t.held {
		return
	}
	t.link.leave()
	g.setHeld(t, false)
	if t.waiting.n > 0 {
		g.rings[t.class].pushBack(&t.link)
	}
}

// setHeld is the one place where turn.held changes: short requests of a flow that is held
// do not wait for a slot.
func (g *Gate) setHeld(t *turn, held bool) {
	t.held = held
	if t.class != fast || t.flow.home == nil {
		return
	}
	n := int(t.flow.shorts)
	if !held {
		n = -n
	}
	g.fill(t.flow, ready, -n)
	g.fill(t.flow, parked, n)
}

// block moves e from its flow's queue, so that it does not hold up the rest of its
// flow, to the line of r, or, if r is nil, among those that wait to find out.
func (g *Gate) block(e *entry, r *route) {
	g.unlink(e)
	if r == nil {
		c := e.flow.home
		c.unknown.insert(&e.link, e.before)
		if c.link.in == nil {
			g.unknown.ring.pushBack(&c.link)
		}
		return
	}
	r.blocked.add(e)
	if r.queued.in == nil {
		g.lines.pushBack(&r.queued)
	}
}

// unblock moves the first n of a line back to their flows' queues.
func (g *Gate) unblock(l *line, n int) {
	for ; n > 0 && l.n() > 0; n-- {
		e := l.first()
		l.remove(e)
		g.comeBack(e)
	}
}

// comeBack puts e into its flow's queue, where it would be had it been there since it
// came.
func (g *Gate) comeBack(e *entry) {
	t := &e.flow.turns[e.queue]
	t.waiting.insert(&e.link, e.before)
	g.join(t)
}

// setLane takes e, which waits, for another lane.
func (g *Gate) setLane(e *entry, lane Lane) {
	if e.lane == lane {
		return
	}
	g.fill(e.flow, e.room(), -1)
	e.flow.count(e, -1)
	e.lane, e.queue = lane, lane.class()
	e.flow.count(e, 1)
	g.fill(e.flow, e.room(), 1)
}

// count counts e among the short ones of f that wait, or no longer.
func (f *flow) count(e *entry, by int) {
	if e.lane == Short {
		f.shorts += int32(by)
	}
}

// relane takes e, which waits, for a lane of another class. Its patience is that of the
// lane it waits in, from its arrival on; what it was promised stays.
func (g *Gate) relane(e *entry, to Lane) {
	queued := e.link.in == &e.flow.turns[e.queue].waiting
	if queued {
		g.unlink(e)
	}
	g.setLane(e, to)
	if e.queue != fast {
		g.extend(e)
	}
	if queued {
		g.comeBack(e)
	}
}

// letIn lets the first ones in r's line take part again, as many as there is room for.
func (g *Gate) letIn(r *route, now time.Duration) {
	if r.blocked.n() > 0 {
		g.unblock(&r.blocked, g.roomIn(r, now))
	}
	if r.blocked.n() == 0 {
		r.queued.leave()
	}
}

// roomIn is how many of those in r's line may go on.
func (g *Gate) roomIn(r *route, now time.Duration) int {
	if r.group == nil {
		return g.share(r, now) - r.in
	}
	e := r.blocked.first()
	switch g.laneOf(e, now).class() {
	case fast:
		return g.routeLimit(r, now) - r.in
	case mixed:
		return max(g.longRoom(e.route, now)-g.phi-g.guests, g.idleRoom(now))
	}
	return lookAt // the long ones have a queue of their own
}

// letUnknown lets as many take part again as may find out now, one of each client in
// turn. A client that has no more places is passed over until one of its own ends.
func (g *Gate) letUnknown() {
	u := &g.unknown
	if u.ring.n == 0 {
		return
	}
	for n := g.places(nil); n > 0 && u.ring.n > 0; {
		c := u.ring.first()
		c.link.leave()
		if g.places(c) <= 0 {
			u.held.pushBack(&c.link)
			continue
		}
		u.ring.pushBack(&c.link)
		g.letOne(c)
		n--
	}
}

// letOne lets the first of a client's take part again that wait to find out.
func (g *Gate) letOne(c *client) {
	e := c.unknown.first()
	g.unlink(e)
	g.comeBack(e)
}

// lookAt is how many of each kind a tick looks at again, and the next tick at the
// next ones.
const lookAt = 64

// lookAgain finds those who were passed over: what held them up may have ended
// without a sign, as when somebody left who had been let in before them.
func (g *Gate) lookAgain(now time.Duration) {
	g.letSome(lookAt, now)
	g.lookAtWaiting(now)
	for range min(g.unknown.held.n, lookAt) {
		c := g.unknown.held.first()
		c.link.leave()
		g.unknown.ring.pushBack(&c.link)
	}
	g.letUnknown()
	g.releaseHeld(lookAt, now)
	if g.stall.phase.stopped() && g.rings[fast].n == 0 && g.mayProbe(now) {
		g.letProbe()
	}
}

// releaseHeld looks at some of the flows that are held, in turn, and lets those take part
// again that may have more in flight.
func (g *Gate) releaseHeld(n int, now time.Duration) {
	for range min(n, g.holding.n) {
		t := g.holding.first()
		t.link.leave()
		g.holding.pushBack(&t.link)
		if g.room(t.flow, t.class, now) {
			g.unhold(t)
		}
	}
}

// lookAtWaiting finds those whose routes have turned out to be something else: among those
// in the queue of long ones, which need not wait for long ones to end, among those that wait
// to find out, and in the lines of groups, whose record they are not taken by any more.
func (g *Gate) lookAtWaiting(now time.Duration) {
	n := len(g.deadlines)
	for range min(n, max(4*lookAt, n/20)) {
		g.looked = (g.looked + 1) % n
		e := g.deadlines[g.looked]
		finds := e.link.in == &e.flow.home.unknown
		switch {
		case e.in != nil && e.in != &e.route.blocked && e.route.known():
			g.unlink(e)
			g.comeBack(e)
			continue
		case e.declared || e.queue != long && !finds:
			continue
		}
		switch lane := g.laneOf(e, now); {
		case finds && lane != Unknown:
			g.unlink(e)
			g.comeBack(e)
		case !finds && lane.class() != long:
			g.relane(e, lane)
		}
	}
}

// letSome does letIn for some routes, in turn.
func (g *Gate) letSome(n int, now time.Duration) {
	for range min(n, g.lines.n) {
		r := g.lines.first()
		r.queued.leave()
		g.lines.pushBack(&r.queued)
		g.letIn(r, now)
	}
}

// letProbe lets one request in that can find out whether the application answers.
func (g *Gate) letProbe() {
	for l, n := g.lines.head, 0; l != nil && n < lookAt; l, n = l.next, n+1 {
		if e := l.of.blocked.first(); e != nil && e.queue == fast {
			g.unblock(&l.of.blocked, 1)
			return
		}
	}
	for _, clients := range [...]*chain[client]{&g.unknown.ring, &g.unknown.held} {
		if c := clients.first(); c != nil {
			g.letOne(c)
			return
		}
	}
}
