package admission

import "time"

// A request waits in one of three places: in its flow's queue, for the flow's turn
// and a slot; in the line of its route (or group), because others of the kind must
// end first; or in the line of all unknown routes.

// enqueue puts e at the end of its flow's queue.
func (g *Gate) enqueue(e *entry) {
	t := &e.flow.turns[e.queue]
	t.waiting.pushBack(&e.link)
	g.join(t, e)
}

// join has the flow of e, which has just come to its queue t, take part.
func (g *Gate) join(t *turn, e *entry) {
	g.mark(t, e, 1)
	switch {
	case t.link.in != nil:
	case t.held:
		g.holding.pushBack(&t.link)
	default:
		g.rings[t.class].pushBack(&t.link)
	}
}

// mark counts e among the short ones in t, or no longer.
func (g *Gate) mark(t *turn, e *entry, by int) {
	if e.lane != Short {
		return
	}
	t.short += by
	if t.held {
		g.held += by
	}
}

// tally counts e among those that wait, or no longer.
func (g *Gate) tally(e *entry, by int) {
	g.waiting[e.queue] += by
	e.flow.waiting += by
	e.flow.turns[e.queue].n += by
	if e.lane == Unknown {
		g.unknown.waiting += by
	}
}

// takeOut takes e out of wherever it waits.
func (g *Gate) takeOut(e *entry) {
	g.unlink(e)
	g.tally(e, -1)
	g.deadlines.remove(e)
}

// unlink takes e out of its flow's queue or its line, and reports whether it was
// the former.
func (g *Gate) unlink(e *entry) (queued bool) {
	t := &e.flow.turns[e.queue]
	queued = e.link.in == &t.waiting
	e.link.leave()
	if !queued {
		return false
	}
	g.mark(t, e, -1)
	if t.waiting.n == 0 {
		t.link.leave()
	}
	return true
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
	t.held = true
	g.held += t.short
	g.holding.pushBack(&t.link)
}

// unhold lets it take part again.
func (g *Gate) unhold(t *turn) {
	if !t.held {
		return
	}
	t.link.leave()
	t.held = false
	g.held -= t.short
	if t.waiting.n > 0 {
		g.rings[t.class].pushBack(&t.link)
	}
}

// block moves e from its flow's queue, so that it does not hold up the rest of its
// flow, to the line of r, or, if r is nil, of all unknown routes.
func (g *Gate) block(e *entry, r *route) {
	g.unlink(e)
	if r == nil {
		g.unknown.blocked.insert(&e.link, e.before)
		return
	}
	r.blocked.insert(&e.link, e.before)
	if r.line.in == nil {
		g.lines.pushBack(&r.line)
	}
}

// unblock moves the first n of a line back to their flows' queues.
func (g *Gate) unblock(line *chain[entry], n int) {
	for ; n > 0 && line.n > 0; n-- {
		e := line.first()
		e.link.leave()
		g.comeBack(e)
	}
}

// comeBack puts e into its flow's queue, where it would be had it been there since it
// came.
func (g *Gate) comeBack(e *entry) {
	t := &e.flow.turns[e.queue]
	t.waiting.insert(&e.link, e.before)
	g.join(t, e)
}

// relane takes e, which waits, for another lane. Its patience is that of the lane it
// waits in, from its arrival on; what it was promised stays.
func (g *Gate) relane(e *entry, to Lane) {
	queued := e.link.in == &e.flow.turns[e.queue].waiting
	if queued {
		g.unlink(e)
	}
	g.tally(e, -1)
	e.lane, e.queue = to, to.class()
	g.tally(e, 1)
	if e.queue != fast {
		g.extend(e)
	}
	if queued {
		g.comeBack(e)
	}
}

// letIn lets the first ones in r's line take part again, as many as there is room for.
func (g *Gate) letIn(r *route, now time.Duration) {
	if r.blocked.n > 0 {
		g.unblock(&r.blocked, g.roomIn(r, now))
	}
	if r.blocked.n == 0 {
		r.line.leave()
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
		return max(g.longRoom(e.route, now)-g.phi, g.idleRoom(now))
	}
	return lookAt // the long ones have a queue of their own
}

func (g *Gate) letUnknown() {
	if g.unknown.blocked.n > 0 {
		g.unblock(&g.unknown.blocked, g.roomForUnknown())
	}
}

// lookAt is how many of each kind a tick looks at again, and the next tick at the
// next ones.
const lookAt = 64

// lookAgain finds those who were passed over: what held them up may have ended
// without a sign, as when somebody left who had been let in before them.
func (g *Gate) lookAgain(now time.Duration) {
	g.letSome(lookAt, now)
	for range min(g.unknown.blocked.n, lookAt) {
		e := g.unknown.blocked.first()
		if g.laneOf(e, now) != Unknown {
			g.unblock(&g.unknown.blocked, 1)
			continue
		}
		e.link.leave()
		g.unknown.blocked.pushBack(&e.link)
	}
	g.letUnknown()
	g.releaseHeld(lookAt, now)
	g.lookAtLong(now)
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

// lookAtLong finds those in the queue of long ones whose routes have turned out to be
// short: they need not wait for long ones to end.
func (g *Gate) lookAtLong(now time.Duration) {
	if g.waiting[long] == 0 {
		return
	}
	n := len(g.deadlines)
	for range min(n, max(4*lookAt, n/20)) {
		g.looked = (g.looked + 1) % n
		e := g.deadlines[g.looked]
		if e.queue != long || e.declared {
			continue
		}
		if lane := g.laneOf(e, now); lane.class() != long {
			g.relane(e, lane)
		}
	}
}

// letSome does letIn for some routes, in turn.
func (g *Gate) letSome(n int, now time.Duration) {
	for range min(n, g.lines.n) {
		r := g.lines.first()
		r.line.leave()
		g.lines.pushBack(&r.line)
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
	g.unblock(&g.unknown.blocked, 1)
}
