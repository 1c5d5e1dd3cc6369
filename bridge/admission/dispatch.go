package admission

import "time"

// dispatch starts all requests that may start: nested ones first, unless it is the turn of the
// others, then short, mixed and long ones, and then those that may borrow a slot.
func (g *Gate) dispatch(now time.Duration) {
	if g.nesting.waiting.n > 0 && g.othersTurn() {
		g.dispatchFast(now)
	}
	g.dispatchNested(now)
	g.dispatchFast(now)
	for g.dispatchMixed(now) {
		g.dispatchFast(now)
	}
	g.dispatchLong(now)
	g.borrowForClients(now)
	g.borrowForRoutes(now)
}

func (g *Gate) dispatchFast(now time.Duration) {
	ring := &g.rings[fast]
	for ring.n > 0 && g.free(now) {
		q := ring.first()
		e := q.waiting.first()
		lane := g.laneOf(e, now)
		if lane.class() != fast {
			g.relane(e, lane)
			continue
		}
		g.setLane(e, lane)
		if !g.belowClientLimit(q.client, fast, now) {
			g.throttle(q)
			continue
		}
		if r, full := g.atRouteLimit(e, now); full {
			g.block(e, r)
			continue
		}
		g.grant(e, q, now)
	}
}

// dispatchMixed returns early and reports true when it has found a request that is short now and
// may start.
func (g *Gate) dispatchMixed(now time.Duration) (short bool) {
	ring := &g.rings[mixed]
	for ring.n > 0 && g.hasShortSlot(now) && g.longAllowed() {
		q := ring.first()
		e := q.waiting.first()
		switch lane := g.laneOf(e, now); lane.class() {
		case fast:
			_, full := g.atRouteLimit(e, now)
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
		case !g.belowClientLimit(q.client, mixed, now):
			g.throttle(q)
		default:
			g.grant(e, q, now)
		}
	}
	return false
}

func (g *Gate) dispatchLong(now time.Duration) {
	g.requeueUpgrades(now)
	ring := &g.rings[long]
	for ring.n > 0 {
		q := ring.first()
		e := q.waiting.first()
		if !g.freeForLong(e, now) {
			if e.upgrade && g.hasSlot(now) && g.longAllowed() && g.freeBesideUpgrades(now) {
				g.parkUpgrade(e) // others need not wait for it
				continue
			}
			return
		}
		if lane := g.laneOf(e, now); lane != Long {
			g.relane(e, lane)
			g.dispatch(now)
			return
		}
		if !g.belowClientLimit(q.client, long, now) {
			g.throttle(q)
			continue
		}
		g.grant(e, q, now)
	}
}

// grant starts e, which is in q, and moves q to the end of its ring.
func (g *Gate) grant(e *entry, q *clientQueue, now time.Duration) {
	g.dequeue(e)
	if ring := q.link.in; ring != nil {
		q.link.leave()
		ring.pushBack(&q.link)
	}
	w := e.waiter
	e.waiter = nil
	g.start(e, now)
	if w != nil { // else Enter is about to return the granted ticket
		w.Settle(nil)
	}
}
