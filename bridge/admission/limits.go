package admission

import (
	"math"
	"time"
)

// mayStart reports whether e, which has just come, may start before those who
// wait: none of them could.
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

// free reports whether a slot may go to a short request.
func (g *Gate) free(now time.Duration) bool { return g.hasShortSlot(now) && g.stallAllows(now) }

// stallAllows reports whether the application answers, or somebody is to find out.
func (g *Gate) stallAllows(now time.Duration) bool {
	switch {
	case g.stall.phase.stopped():
		return g.mayProbe(now)
	case g.stall.phase == recovering:
		return g.inUse < g.stall.ramp
	}
	return true
}

// idleAfter is how long nothing must be in flight for a long request to start
// although short ones have needed all slots lately.
const idleAfter = time.Second

// longAllowed reports whether mixed and long requests may start at all.
func (g *Gate) longAllowed() bool { return g.stall.phase == answering || g.stall.phase == suspected }

// freeForLong reports whether a slot may go to e, mixed or long.
func (g *Gate) freeForLong(e *entry, now time.Duration) bool {
	if !g.hasSlot(now) || !g.longAllowed() {
		return false
	}
	room := g.longSlots(g.longCap, now)
	if e.queue == mixed {
		room = g.mixedCap(e.route, now)
	}
	return g.longInUse+g.borrowed < room || g.idleSlot(now) > 0
}

// mixedCap is how many slots may hold long requests for a mixed one of r to start. It
// may be as short as those of r are as a rule; so it may have what other routes do not
// need; the last one only if there are no others: it would be kept for nobody.
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

// idleSlot is 1 if nothing has been in flight for some time.
func (g *Gate) idleSlot(now time.Duration) int {
	if g.inUse == 0 && now-g.idleSince >= idleAfter {
		return 1
	}
	return 0
}

// atRouteLimit reports whether e, short or unknown, must wait for others of its kind: those
// of a route, or of all unknown ones, if r is nil.
func (g *Gate) atRouteLimit(e *entry, now time.Duration) (r *route, full bool) {
	switch {
	case !g.cfg.Lanes, g.stall.phase.stopped(): // who finds out may be anyone
		return nil, false
	case e.route.inFlight >= g.routeLimit(e.route, now):
		return e.route, true
	case e.record != nil && e.record.inFlight >= g.routeShare(e.record, now):
		return e.record, true
	}
	return nil, e.lane == Unknown && g.unknownAllowed(g.addresses[e.addressKey]) <= 0
}

// routeShare is what one route, or all newcomers that are judged by the same record, may
// have in flight: should all of them turn slow at once, the others still have the
// reserve, or as much of it as they have needed lately.
func (g *Gate) routeShare(r *route, now time.Duration) int {
	least := g.slots - g.reserve
	switch {
	case g.slots < 4:
		return g.slots // half an application is too much to hold back
	case r.inFlight < least:
		return least
	}
	return max(least, g.unneeded(r, now))
}

// roundingError is how many slots others use where there are none: the sums of so many
// floating point numbers differ by less.
const roundingError = 1e-4

// negligible is how many slots the others may use for a route to be as good as alone.
const negligible = 0.05

// unneeded is how many slots no other route than r has needed lately; none, as long
// as too little is known.
func (g *Gate) unneeded(r *route, now time.Duration) int {
	if now < timeConstant/12 {
		return 0
	}
	if now-r.othersAt >= time.Second {
		others := (g.fastSeconds.value(now) - r.fastSeconds.value(now)) / timeConstant.Seconds()
		others /= 1 - math.Exp(-now.Seconds()/timeConstant.Seconds()) // what was before the start was not nothing, but unknown
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

// unknownAllowed is how many requests of unknown routes may start now, of c or, if that is nil, of
// a client that has none in flight. They may turn out to be long, and short ones must have
// room even then; but one must always be able to find out, unless one has and is still at
// it, and others want the slots. A client that has some already leaves the last places to
// others.
func (g *Gate) unknownAllowed(c *address) int {
	u := &g.unknown
	left, young := 0, g.unknownLimit
	if c != nil && c.key != 0 && c.unknownInFlight >= max(1, g.unknownLimit/4) {
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
