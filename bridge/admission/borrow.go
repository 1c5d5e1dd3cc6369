package admission

import "time"

// Limits are for the benefit of others. While nobody else wants the slots, a request borrows one:
// it starts beyond the limit of its client, or of its unknown route. It takes a slot that a long
// request could have, because it may become long, and never one of the reserve. So a page that
// asks its own site for others does not wait for itself.

// borrowable returns how many requests may borrow slots now.
func (g *Gate) borrowable(now time.Duration) int {
	if !g.cfg.Lanes || g.stall.phase != answering || !g.hasSlot(now) {
		return 0
	}
	return min(g.longSlots(g.longCap, now)-g.mayBeLong(), g.slots-g.reserve-g.inUse)
}

// shortInUse returns how many slots are in use by requests that count as the load of short ones.
// Borrowed slots do not: nobody else wanted them.
func (g *Gate) shortInUse() int { return g.inUse - g.longInUse - g.borrowed }

// mayBeLong returns how many slots are held by long requests and by requests that may well become
// long.
func (g *Gate) mayBeLong() int {
	return g.longInUse + g.borrowed + g.unknown.young - g.unknown.borrowed
}

// borrowForClients starts requests of clients at their limits, in turn. It leaves as many slots as
// another client's limit.
func (g *Gate) borrowForClients(now time.Duration) {
	for looks := min(g.throttled.n, batch); looks > 0 && g.throttled.n > 0; looks-- {
		if g.borrowable(now) <= 0 || g.longSlots(g.longCap, now)-g.mayBeLong() <= g.clientLimit {
			return
		}
		q := g.throttled.first()
		q.link.leave()
		g.throttled.pushBack(&q.link)
		e := q.waiting.first()
		lane := g.laneOf(e, now)
		if lane.class() != q.class {
			g.relane(e, lane)
			continue
		}
		g.setLane(e, lane)
		if q.class != fast {
			if g.freeForLong(e, now) {
				g.grant(e, q, now)
				looks++
			}
			continue
		}
		if r, full := g.atRouteLimit(e, now); full {
			g.block(e, r)
			continue
		}
		if !g.leavesClientLimit(e, now) {
			continue
		}
		e.borrows = true
		g.grant(e, q, now)
		looks++
	}
}

// leavesClientLimit reports whether another client could still have its limit of requests of e's
// route in flight after e has started.
func (g *Gate) leavesClientLimit(e *entry, now time.Duration) bool {
	return e.route.inFlight+g.clientLimit < g.routeLimit(e.route, now) && (e.record == nil || e.record.inFlight+g.clientLimit < g.routeShare(e.record, now))
}

// nearlyIdle reports whether so few slots are in use that one more does no harm, even if it is not
// known yet, soon after the start, how many slots short requests need.
func (g *Gate) nearlyIdle(now time.Duration) bool {
	return g.stall.phase == answering && g.longInUse == 0 && g.slots >= 8 && g.inUse < g.slots/4 && g.inUse < g.slots-g.reserve && g.hasSlot(now)
}

// borrowForRoutes starts requests of unknown routes, in turn, and leaves places for other unknown
// requests. Requests of known routes and of groups cannot borrow: what their limits keep free is
// the reserve.
func (g *Gate) borrowForRoutes(now time.Duration) {
	for looks := min(g.blockedRoutes.n, batch); looks > 0 && g.blockedRoutes.n > 0; looks-- {
		free := g.borrowable(now) > 0
		if !free && !g.nearlyIdle(now) {
			return
		}
		r := g.blockedRoutes.first()
		r.blockedLink.leave()
		g.blockedRoutes.pushBack(&r.blockedLink)
		e := r.blocked.first()
		if r.group == nil || r.known() || e == nil || !free && now-e.arrived < tick {
			continue
		}
		lane := g.laneOf(e, now)
		if lane.class() != fast || !g.belowClientLimit(e.client, fast, now) || lane == Unknown && g.unknownAllowed(e.client.address) <= max(1, g.unknownLimit/4) {
			continue
		}
		g.relane(e, lane)
		e.borrows = true
		g.grant(e, e.client.queue(fast), now)
	}
}
