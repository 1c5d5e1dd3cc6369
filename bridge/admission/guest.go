package admission

import "time"

// A limit holds a request back for others. Where nobody else wants the slots, a request
// starts beyond the limit of its flow, and one of an unknown route although others of
// that have not been answered yet: as a guest. It takes what a long request could have,
// for it may become one, and never the reserve. So pages that ask their own site for
// others do not wait for themselves.

// guestRoom is how many guests may start now.
func (g *Gate) guestRoom(now time.Duration) int {
	if !g.cfg.Lanes || g.stall.phase != flowing || !g.hasSlot(now) {
		return 0
	}
	return min(g.longSlots(g.longCap, now)-g.mayBeLong(), g.w-g.reserve-g.in)
}

// wanted is how many slots are in use that short requests need: guests have what is left.
func (g *Gate) wanted() int { return g.in - g.phi - g.guests }

// mayBeLong is how many slots are held by long requests and by those that may well become
// so.
func (g *Gate) mayBeLong() int { return g.phi + g.guests + g.unknown.young - g.unknown.guests }

// dispatchGuests starts guests.
func (g *Gate) dispatchGuests(now time.Duration) {
	if g.holding.n > 0 {
		g.guestsOfFlows(now)
	}
	if g.lines.n > 0 {
		g.guestsOfRoutes(now)
	}
}

// guestsOfFlows starts those of flows that have in flight what they may, in turn. As much
// as another flow may have is left for that.
func (g *Gate) guestsOfFlows(now time.Duration) {
	for looks := min(g.holding.n, lookAt); looks > 0 && g.holding.n > 0; looks-- {
		if g.guestRoom(now) <= 0 || g.longSlots(g.longCap, now)-g.mayBeLong() <= g.flowLimit {
			return
		}
		t := g.holding.first()
		t.link.leave()
		g.holding.pushBack(&t.link)
		e := t.waiting.first()
		lane := g.laneOf(e, now)
		if lane.class() != t.class {
			g.relane(e, lane)
			continue
		}
		g.setLane(e, lane)
		if t.class != fast {
			if g.freeForLong(e, now) {
				g.grant(e, t, now)
				looks++
			}
			continue
		}
		if r, full := g.full(e, now); full {
			g.block(e, r)
			continue
		}
		if !g.leavesRoom(e, now) {
			continue
		}
		e.guest = true
		g.grant(e, t, now)
		looks++
	}
}

// leavesRoom reports whether another flow may have in flight what it may of e's route when
// e has started.
func (g *Gate) leavesRoom(e *entry, now time.Duration) bool {
	return e.route.in+g.flowLimit < g.routeLimit(e.route, now) && (e.judge == nil || e.judge.in+g.flowLimit < g.share(e.judge, now))
}

// quiet reports whether so little goes on that one more can do no harm, although it is not
// known yet, soon after the start, what short requests need.
func (g *Gate) quiet(now time.Duration) bool {
	return g.stall.phase == flowing && g.phi == 0 && g.w >= 8 && g.in < g.w/4 && g.in < g.w-g.reserve && g.hasSlot(now)
}

// guestsOfRoutes starts those of unknown routes, in turn, and leaves places to find out to
// others. What the limits of other routes, and of groups, keep free is the reserve.
func (g *Gate) guestsOfRoutes(now time.Duration) {
	for looks := min(g.lines.n, lookAt); looks > 0 && g.lines.n > 0; looks-- {
		free := g.guestRoom(now) > 0
		if !free && !g.quiet(now) {
			return
		}
		r := g.lines.first()
		r.queued.leave()
		g.lines.pushBack(&r.queued)
		e := r.blocked.first()
		if r.group == nil || r.known() || e == nil || !free && now-e.arrived < tick {
			continue
		}
		lane := g.laneOf(e, now)
		if lane.class() != fast || !g.room(e.flow, fast, now) || lane == Unknown && g.places(e.flow.home) <= max(1, g.u/4) {
			continue
		}
		g.relane(e, lane)
		e.guest = true
		g.grant(e, &e.flow.turns[fast], now)
	}
}
