package admission

import "time"

// dispatch starts whom it may: nested ones first, unless it is the turn of others, then
// short, mixed and long ones, and then those that only others of their own keep waiting.
func (g *Gate) dispatch(now time.Duration) {
	if g.nesting.waiting.n > 0 && g.turnOfOthers() {
		g.dispatchFast(now)
	}
	g.dispatchNested(now)
	g.dispatchFast(now)
	for g.dispatchMixed(now) {
		g.dispatchFast(now)
	}
	g.dispatchLong(now)
	g.dispatchGuests(now)
}

func (g *Gate) dispatchFast(now time.Duration) {
	ring := &g.rings[fast]
	for ring.n > 0 && g.free(now) {
		t := ring.first()
		e := t.waiting.first()
		lane := g.laneOf(e, now)
		if lane.class() != fast {
			g.relane(e, lane)
			continue
		}
		g.setLane(e, lane)
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

// dispatchMixed reports whether it has found one that is short now, and may start.
func (g *Gate) dispatchMixed(now time.Duration) (short bool) {
	ring := &g.rings[mixed]
	for ring.n > 0 && g.hasShortSlot(now) && g.longAllowed() {
		t := ring.first()
		e := t.waiting.first()
		switch lane := g.laneOf(e, now); lane.class() {
		case fast:
			_, full := g.full(e, now)
			if !full && g.free(now) {
				g.relane(e, lane)
				return true
			}
			g.block(e, e.route)
			continue
		case long:
			g.relane(e, lane)
			continue
		}
		switch {
		case !g.freeForLong(e, now):
			g.block(e, e.route)
		case !g.room(t.flow, mixed, now):
			g.hold(t)
		default:
			g.grant(e, t, now)
		}
	}
	return false
}

func (g *Gate) dispatchLong(now time.Duration) {
	ring := &g.rings[long]
	for ring.n > 0 {
		t := ring.first()
		e := t.waiting.first()
		if !g.freeForLong(e, now) {
			return
		}
		if lane := g.laneOf(e, now); lane != Long {
			g.relane(e, lane)
			g.dispatch(now)
			return
		}
		if !g.room(t.flow, long, now) {
			g.hold(t)
			continue
		}
		g.grant(e, t, now)
	}
}

// grant starts e, the first of t, and lets the other flows have their turn.
func (g *Gate) grant(e *entry, t *turn, now time.Duration) {
	g.takeOut(e)
	if ring := t.link.in; ring != nil {
		t.link.leave()
		ring.pushBack(&t.link)
	}
	w := e.waiter
	e.waiter = nil
	g.start(e, now)
	if w != nil { // else Enter is about to return
		w.Settle(nil)
	}
}
