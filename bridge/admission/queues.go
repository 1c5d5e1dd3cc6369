package admission

import "time"

// enqueue puts e, which waits, at the end of its flow's queue.
func (g *Gate) enqueue(e *entry) {
	t := &e.flow.turns[e.queue]
	g.tally(e, 1)
	t.waiting.pushBack(&e.link)
	g.call(t)
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

// call lets a flow take part again, unless it is held.
func (g *Gate) call(t *turn) {
	switch {
	case t.held:
		if t.class == fast {
			g.held++
		}
	case t.link.in == nil:
		g.rings[t.class].pushBack(&t.link)
	}
}

// takeOut takes e out of wherever it waits.
func (g *Gate) takeOut(e *entry) {
	g.unlink(e)
	g.tally(e, -1)
	if e.index >= 0 {
		g.deadlines.remove(e)
	}
}

// unlink takes e out of its flow's queue or the chain it is blocked in.
func (g *Gate) unlink(e *entry) {
	t := &e.flow.turns[e.queue]
	queued := e.link.in == &t.waiting
	e.link.leave()
	if !queued {
		return
	}
	if t.held && t.class == fast {
		g.held--
	}
	if t.waiting.n == 0 {
		t.link.leave()
	}
}

// drop forgets e, which is in no queue and holds no slot.
func (g *Gate) drop(e *entry) {
	f := e.flow
	g.vacate(e)
	g.rest(f)
}

// hold takes a flow that has in flight what it may out of the ring.
func (g *Gate) hold(t *turn) {
	t.link.leave()
	t.held = true
	if t.class == fast {
		g.held += t.waiting.n
	}
}

// unhold lets it take part again: one of its requests has ended.
func (g *Gate) unhold(t *turn) {
	if !t.held {
		return
	}
	t.held = false
	if t.class == fast {
		g.held -= t.waiting.n
	}
	if t.waiting.n > 0 {
		g.rings[t.class].pushBack(&t.link)
	}
}

// block has e, in its flow's queue, wait for others of its kind, so that it does not
// hold up the rest of its flow: for those of r, or, where that is nil, for those of
// unknown routes.
func (g *Gate) block(e *entry, r *route) {
	g.unlink(e)
	if r == nil {
		g.unknown.blocked.pushBack(&e.link)
		return
	}
	r.blocked.pushBack(&e.link)
	if r.line.in == nil {
		g.lines.pushBack(&r.line)
	}
}

// letIn lets those who wait for others of r take part again, as far as there is room.
func (g *Gate) letIn(r *route, now time.Duration) {
	g.unblock(&r.blocked, g.routeLimit(r, now)-r.in)
	if r.blocked.n == 0 {
		r.line.leave()
	}
}

// letAllIn does so with everyone: they are of another lane now.
func (g *Gate) letAllIn(r *route) {
	g.unblock(&r.blocked, r.blocked.n)
	r.line.leave()
}

func (g *Gate) letUnknown() {
	if g.unknown.blocked.n > 0 {
		g.unblock(&g.unknown.blocked, g.roomForUnknown())
	}
}

// unblock moves the first n of them back, to the front of their flows' queues.
func (g *Gate) unblock(from *chain[entry], n int) {
	if n <= 0 || from.n == 0 {
		return
	}
	last := from.head
	for i := 1; i < n && last.next != nil; i++ {
		last = last.next
	}
	for l := last; l != nil; {
		e, prev := l.of, l.prev
		l.leave()
		t := &e.flow.turns[e.queue]
		t.waiting.pushFront(l)
		g.call(t)
		l = prev
	}
}

// lookAgain finds those who were passed over: what held them up may have ended
// without a sign, as when somebody left who had been let in before them. A tick
// looks at so many, and the next tick at the next ones.
func (g *Gate) lookAgain(now time.Duration) {
	const many = 64
	for range min(g.lines.n, many) {
		r := g.lines.first()
		r.line.leave()
		if r.blocked.n > 0 {
			g.lines.pushBack(&r.line)
			g.letIn(r, now)
		}
	}
	if g.stall.phase.stopped() && g.rings[fast].n == 0 && g.mayProbe(now) {
		if r := g.lines.first(); r != nil {
			g.unblock(&r.blocked, 1)
		} else {
			g.unblock(&g.unknown.blocked, 1)
		}
	}
	for range min(g.unknown.blocked.n, many) {
		e := g.unknown.blocked.first()
		if g.laneOf(e, now) != Unknown {
			g.unblock(&g.unknown.blocked, 1)
			continue
		}
		e.link.leave()
		g.unknown.blocked.pushBack(&e.link)
	}
	ring := &g.rings[mixed]
	for range min(ring.n, many) {
		t := ring.first()
		t.link.leave()
		ring.pushBack(&t.link)
		if e := t.waiting.first(); g.laneOf(e, now).class() == fast {
			g.relane(e, g.laneOf(e, now))
		}
	}
	g.letUnknown()
}

// relane moves e, which waits, to the queue of another lane. Its patience is that
// of the lane it waits in, from its arrival on; what it was promised stays.
func (g *Gate) relane(e *entry, to Lane) {
	g.unlink(e)
	g.tally(e, -1)
	e.lane, e.queue = to, to.class()
	if deadline := e.arrived + g.patience(e.queue); deadline > e.deadline {
		e.deadline = deadline
		g.deadlines.fix(e.index)
	}
	g.enqueue(e)
}

// dispatch starts whom it may: short ones first, then mixed, then long.
func (g *Gate) dispatch(now time.Duration) {
	for {
		g.dispatchFast(now)
		if !g.dispatchSlow(now) {
			return
		}
	}
}

func (g *Gate) dispatchFast(now time.Duration) {
	ring := &g.rings[fast]
	for ring.n > 0 && g.free(now) {
		t := ring.first()
		e := t.waiting.first()
		if lane := g.laneOf(e, now); lane.class() != fast {
			g.relane(e, lane)
			continue
		} else if lane != e.lane {
			g.tally(e, -1)
			e.lane = lane
			g.tally(e, 1)
		}
		if !g.room(t.flow, fast, now) {
			g.hold(t)
			continue
		}
		if r, full := g.full(e, now); full {
			g.block(e, r)
			continue
		}
		g.grant(e, t, now)
	}
}

// dispatchSlow reports whether it has found one that is short now.
func (g *Gate) dispatchSlow(now time.Duration) (short bool) {
	for {
		t := g.rings[mixed].first()
		if t == nil || !g.freeForLong(t.waiting.first(), now) {
			t = g.rings[long].first()
		}
		if t == nil {
			return short
		}
		e := t.waiting.first()
		if !g.freeForLong(e, now) {
			return short
		}
		if lane := g.laneOf(e, now); lane.class() != t.class {
			g.relane(e, lane)
			short = short || lane.class() == fast
			continue
		}
		if !g.room(t.flow, t.class, now) {
			g.hold(t)
			continue
		}
		g.grant(e, t, now)
	}
}

// grant starts e, the first of t, and lets the other flows have their turn.
func (g *Gate) grant(e *entry, t *turn, now time.Duration) {
	g.takeOut(e)
	if t.link.in != nil {
		ring := t.link.in
		t.link.leave()
		ring.pushBack(&t.link)
	}
	w := e.waiter
	e.waiter = nil
	g.start(e, now)
	w.Settle(nil)
}
