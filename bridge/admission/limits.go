package admission

import (
	"math"
	"time"
)

// mayStart reports whether e, which has just arrived, may start at once. It need not wait for those
// that wait already: if one of them could start, it would have.
func (g *Gate) mayStart(e *entry, now time.Duration) bool {
	if e.queue != fast {
		return g.freeForLong(e, now) && g.belowClientLimit(e.client, e.queue, now)
	}
	if !g.free(now) || !g.belowClientLimit(e.client, fast, now) {
		return false
	}
	_, full := g.atRouteLimit(e, now)
	return !full
}

// free reports whether a slot is free for a short request.
func (g *Gate) free(now time.Duration) bool { return g.hasShortSlot(now) && g.stallAllows(now) }

// stallAllows reports whether the application answers or, if it may have stalled, whether a request
// may start as a probe.
func (g *Gate) stallAllows(now time.Duration) bool {
	switch {
	case g.stall.phase.stopped():
		return g.mayProbe(now)
	case g.stall.phase == recovering:
		return g.inUse < g.stall.ramp
	}
	return true
}

// idleAfter is how long all slots must have been free for a long request to start although short
// ones have needed all slots lately.
const idleAfter = time.Second

// longAllowed reports whether a stall permits mixed and long requests to start.
func (g *Gate) longAllowed() bool { return g.stall.phase == answering || g.stall.phase == suspected }

// freeForLong reports whether a slot is free for e, which is mixed or long.
func (g *Gate) freeForLong(e *entry, now time.Duration) bool {
	if !g.hasSlot(now) || !g.longAllowed() {
		return false
	}
	room := g.longSlots(g.longCap, now)
	if e.queue == mixed {
		room = g.mixedCap(e.route, now)
	}
	return g.longInUse+g.borrowed < room || g.idleSlot(now) > 0 || !e.upgrade && g.freeBesideUpgrades(now)
}

// mixedCap returns how many slots long requests may hold for a mixed request of r to start. Such a
// request is probably short, so it may take slots that other routes do not need. It may take the
// last slot only if there are no other routes that the slot could be kept for.
func (g *Gate) mixedCap(r *route, now time.Duration) int {
	room := g.longCap
	if r.mostlyShort() {
		unneeded := g.unneeded(r, now)
		if !r.alone {
			unneeded = min(unneeded, g.slots-1)
		}
		room = max(room, unneeded)
	}
	return g.longSlots(room, now)
}

// idleSlot returns 1 if all slots have been free for some time, else 0.
func (g *Gate) idleSlot(now time.Duration) int {
	if g.inUse == 0 && now-g.idleSince >= idleAfter {
		return 1
	}
	return 0
}

// atRouteLimit reports whether e, short or unknown, must wait for others to end: others of r, its
// route or group, or other unknown requests if r is nil.
func (g *Gate) atRouteLimit(e *entry, now time.Duration) (r *route, full bool) {
	switch {
	case !g.cfg.Lanes, g.stall.phase.stopped(): // any request may be a probe
		return nil, false
	case e.route.inFlight >= g.routeLimit(e.route, now):
		return e.route, true
	case e.record != nil && e.record.inFlight >= g.routeShare(e.record, now):
		return e.record, true
	}
	return nil, e.lane == Unknown && g.unknownAllowed(g.addresses[e.addressKey]) <= 0
}

// routeShare returns how many requests of one route, or of new routes that are short by the record
// of one group, may be in flight. If all of them became slow at once, the other routes would still
// have the reserve, or as much of it as they have needed lately.
func (g *Gate) routeShare(r *route, now time.Duration) int {
	least := g.slots - g.reserve
	switch {
	case g.slots < 4:
		return g.slots // of so few workers, a reserve would be too large a part
	case r.inFlight < least:
		return least
	}
	return max(least, g.unneeded(r, now))
}

// roundingError is more than sums of many floating-point numbers differ by.
const roundingError = 1e-4

// negligible is how many slots other routes may use without a part of the reserve being kept for
// them.
const negligible = 0.05

// unneeded returns how many slots the other routes than r have not needed lately, 0 while too
// little is known.
func (g *Gate) unneeded(r *route, now time.Duration) int {
	if now < timeConstant/12 {
		return 0
	}
	if now-r.othersAt >= time.Second {
		others := (g.fastSeconds.value(now) - r.fastSeconds.value(now)) / timeConstant.Seconds()
		others /= 1 - math.Exp(-now.Seconds()/timeConstant.Seconds()) // the time before the start counts as unknown, not as idle
		r.alone = others < roundingError
		if others < negligible {
			others = 0
		}
		r.othersNeed, r.othersAt = g.load.servers(max(others, 0), g.slots, g.cfg.WaitTarget), now
	}
	return g.slots - r.othersNeed
}

func (g *Gate) routeLimit(r *route, now time.Duration) int {
	limit := g.routeShare(r, now)
	if r.known() || r.group == nil {
		return limit
	}
	return min(1+slowStart*r.short, limit)
}

// unknownAllowed returns how many unknown requests of the address a may start now, or of an address
// that has none in flight if a is nil. Unknown requests may turn out to be long, and short ones
// must have slots even then. But one unknown request may always start, unless another one is in
// flight and somebody else wants the slots. An address that already has some in flight leaves the
// last places to others.
func (g *Gate) unknownAllowed(a *address) int {
	u := &g.unknown
	left, young := 0, g.unknownLimit
	if a != nil && a.key != 0 && a.unknownInFlight >= max(1, g.unknownLimit/4) {
		left, young = max(1, g.reserve/2), g.unknownLimit-g.unknownLimit/4
	}
	switch {
	case u.young+u.aged == 0:
		return 1
	case u.young == 0 && g.inUse <= g.slots-2-left && g.waitingIn[roomReady] == 0:
		return 1 // nobody else wants the slots
	}
	unneeded := g.slots - g.shortNeed
	if g.slots >= 8 {
		unneeded = min(unneeded, g.slots-1)
	}
	return min(young-u.young, max(unneeded, g.longTarget+max(1, g.reserve/2))-left-g.longInUse-u.newRoutes)
}
