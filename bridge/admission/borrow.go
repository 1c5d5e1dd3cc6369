package admission

import "time"

// A limit holds a request back for others. Where nobody else wants the slots, a request
// starts beyond the limit of its flow, and one of an unknown route although others of
// that have not been answered yet: as a guest. It takes what a long request could have,
// for it may become one, and never the reserve. So pages that ask their own site for
// others do not wait for themselves.

// borrowable is how many guests may start now.
func (g *Gate) borrowable(now time.Duration) int {
	if !g.cfg.Lanes || g.stall.phase != answering || !g.hasSlot(now) {
		return 0
	}
	return min(g.longSlots(g.longCap, now)-g.mayBeLong(), g.slots-g.reserve-g.inUse)
}

// shortInUse is how many slots are in use that short requests need: guests have what is left.
func (g *Gate) shortInUse() int { return g.inUse - g.longInUse - g.borrowed }

// mayBeLong is how many slots are held by long requests and by those that may well become
// so.
func (g *Gate) mayBeLong() int {
	return g.longInUse + g.borrowed + g.unknown.young - g.unknown.borrowed
}

// dispatchBorrowers starts guests.
func (g *Gate) dispatchBorrowers(now time.Duration) {
	if g.throttled.n > 0 {
		g.borrowForClients(now)
	}
	if g.blockedRoutes.n > 0 {
		g.borrowForRoutes(now)
	}
}

// borrowForClients starts those of flows that have in flight what they may, in turn. As much
// as another flow may have is left for that.
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

// leavesClientLimit reports whether another flow may have in flight what it may of e's route when
// e has started.
func (g *Gate) leavesClientLimit(e *entry, now time.Duration) bool {
	return e.route.inFlight+g.clientLimit < g.routeLimit(e.route, now) && (e.record == nil || e.record.inFlight+g.clientLimit < g.routeShare(e.record, now))
}

// nearlyIdle reports whether so little goes on that one more can do no harm, although it is not
// known yet, soon after the start, what short requests need.
func (g *Gate) nearlyIdle(now time.Duration) bool {
	return g.stall.phase == answering && g.longInUse == 0 && g.slots >= 8 && g.inUse < g.slots/4 && g.inUse < g.slots-g.reserve && g.hasSlot(now)
}

// borrowForRoutes starts those of unknown routes, in turn, and leaves places to find out to
// others. What the limits of other routes, and of groups, keep free is the reserve.
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
		g.grant(e, &e.client.queues[fast], now)
	}
}
