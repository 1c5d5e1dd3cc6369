package admission

import (
	"math"
	"time"
)

// laneOf says what e is taken for now.
func (g *Gate) laneOf(e *entry, now time.Duration) Lane {
	e.judge, e.newcomer = nil, false
	switch {
	case !g.cfg.Lanes:
		return Short
	case e.declared:
		return Long
	}
	r := e.route
	switch {
	case r.known() && r.mostlyLong() && now-r.tried < longAgain:
		return Long
	case r.tainted(now):
		return Mixed
	case r.shortForMost():
		return Short
	case !r.known() && r.long+r.aged > r.short && (r.aged > 0 || now-r.tried < tryAgain):
		return Mixed // for all that is known
	}
	e.newcomer = true
	if !r.known() && r.group.benign(now) {
		e.judge = r.group
		return Short
	}
	return Unknown
}

// mayStart reports whether e, which has just come, may start before those who
// wait: none of them could.
func (g *Gate) mayStart(e *entry, now time.Duration) bool {
	if e.queue != fast {
		return g.freeForLong(e, now) && g.room(e.flow, e.queue, now)
	}
	if !g.free(now) || !g.room(e.flow, fast, now) {
		return false
	}
	_, full := g.full(e, now)
	return !full
}

// free reports whether a slot may go to a short request.
func (g *Gate) free(now time.Duration) bool { return g.hasShortSlot(now) && g.answers(now) }

// answers reports whether the application answers, or somebody is to find out.
func (g *Gate) answers(now time.Duration) bool {
	switch {
	case g.stall.phase.stopped():
		return g.mayProbe(now)
	case g.stall.phase == recovering:
		return g.in < g.stall.ramp
	}
	return true
}

// idleAfter is how long nothing must be in flight for a long request to start
// although short ones have needed all slots lately.
const idleAfter = time.Second

// longAllowed reports whether mixed and long requests may start at all.
func (g *Gate) longAllowed() bool { return g.stall.phase == flowing || g.stall.phase == suspected }

// freeForLong reports whether a slot may go to e, mixed or long.
func (g *Gate) freeForLong(e *entry, now time.Duration) bool {
	if !g.hasSlot(now) || !g.longAllowed() {
		return false
	}
	room := g.longSlots(g.longCap, now)
	if e.queue == mixed {
		room = g.longRoom(e.route, now)
	}
	return g.phi+g.guests < room || g.idleRoom(now) > 0
}

// longRoom is how many slots may hold long requests for a mixed one of r to start. It
// may be as short as those of r are as a rule; so it may have what other routes do not
// need; the last one only if there are no others: it would be kept for nobody.
func (g *Gate) longRoom(r *route, now time.Duration) int {
	room := g.longCap
	if r.shortForMost() {
		unneeded := g.unneeded(r, now)
		if !r.alone {
			unneeded = min(unneeded, g.w-1)
		}
		room = max(room, unneeded)
	}
	return g.longSlots(room, now)
}

// idleRoom is 1 if nothing has been in flight for some time.
func (g *Gate) idleRoom(now time.Duration) int {
	if g.in == 0 && now-g.emptied >= idleAfter {
		return 1
	}
	return 0
}

// full reports whether e, short or unknown, must wait for others of its kind: those
// of a route, or of all unknown ones, if r is nil.
func (g *Gate) full(e *entry, now time.Duration) (r *route, full bool) {
	switch {
	case !g.cfg.Lanes, g.stall.phase.stopped(): // who finds out may be anyone
		return nil, false
	case e.route.in >= g.routeLimit(e.route, now):
		return e.route, true
	case e.judge != nil && e.judge.in >= g.share(e.judge, now):
		return e.judge, true
	}
	return nil, e.lane == Unknown && g.places(g.clients[e.client]) <= 0
}

// share is what one route, or all newcomers that are judged by the same record, may
// have in flight: should all of them turn slow at once, the others still have the
// reserve, or as much of it as they have needed lately.
func (g *Gate) share(r *route, now time.Duration) int {
	least := g.w - g.reserve
	switch {
	case g.w < 4:
		return g.w // half an application is too much to hold back
	case r.in < least:
		return least
	}
	return max(least, g.unneeded(r, now))
}

// nothing is how many slots others use where there are none: the sums of so many
// floating point numbers differ by less.
const nothing = 1e-4

// negligible is how many slots the others may use for a route to be as good as alone.
const negligible = 0.05

// unneeded is how many slots no other route than r has needed lately; none, as long
// as too little is known.
func (g *Gate) unneeded(r *route, now time.Duration) int {
	if now < recent/12 {
		return 0
	}
	if now-r.othersAt >= time.Second {
		others := (g.fastWork.value(now) - r.fastWork.value(now)) / recent.Seconds()
		others /= 1 - math.Exp(-now.Seconds()/recent.Seconds()) // what was before the start was not nothing, but unknown
		r.alone = others < nothing
		if others < negligible {
			others = 0
		}
		r.others, r.othersAt = g.load.servers(max(others, 0), g.w, g.cfg.WaitTarget), now
	}
	return g.w - r.others
}

func (g *Gate) routeLimit(r *route, now time.Duration) int {
	limit := g.share(r, now)
	if r.known() || r.group == nil {
		return limit
	}
	return min(1+opening*r.short, limit)
}

// places is how many requests of unknown routes may start now, of c or, if that is nil, of
// a client that has none in flight. They may turn out to be long, and short ones must have
// room even then; but one must always be able to find out, unless one has and is still at
// it, and others want the slots. A client that has some already leaves the last places to
// others.
func (g *Gate) places(c *client) int {
	u := &g.unknown
	left, young := 0, g.u
	if c != nil && c.key != 0 && c.finding >= max(1, g.u/4) {
		left, young = max(1, g.reserve/2), g.u-g.u/4
	}
	switch {
	case u.young+u.aged == 0:
		return 1
	case u.young == 0 && g.in <= g.w-2-left && g.filled[ready] == 0:
		return 1 // nobody else wants the slots
	}
	unneeded := g.w - g.shortNeed
	if g.w >= 8 {
		unneeded = min(unneeded, g.w-1)
	}
	return min(young-u.young, max(unneeded, g.target+max(1, g.reserve/2))-left-g.phi-u.newcomers)
}

// mustRefuse decides about a request that cannot start now. It may refuse another one in
// its place, which has waited behind others of its own.
func (g *Gate) mustRefuse(e *entry, now time.Duration) (why Reason, refused bool) {
	if !g.cfg.Lanes {
		return Full, g.filled[ready] >= g.cfg.Size
	}
	in, most := e.room(), g.cfg.LongSize
	if in == ready {
		most = g.queueSize()
	}
	g.overfull = g.overfull || g.filled[ready] >= g.cfg.Size
	switch {
	case e.flow.waitsAs(e) >= g.mayWait(e):
		e.ownFault = true
		return Full, true
	case g.filled[in] >= most && !g.makeRoom(e, Full, now):
		return Full, true
	case in != ready:
		return 0, false
	case g.stall.phase == stalled && g.filled[ready] >= g.drainable() && !g.makeRoom(e, Stalled, now):
		return Stalled, true
	case g.predicted(e) > g.cfg.Timeout:
		e.ownFault = e.flow != g.nobody && e.flow.filled[ready] > 0
		return Predicted, true
	}
	return 0, false
}

// queueSize is how many short requests may wait for slots. When it has been full once, and
// as long as it does not empty, it is shorter: in a long one everybody waits and no more
// are answered. What comes in excess is refused anyway.
func (g *Gate) queueSize() int {
	mean := g.load.mean()
	if !g.overfull || mean == 0 {
		return g.cfg.Size
	}
	wait := min(max(g.cfg.Timeout.Seconds()/15, 4*mean), 0.75*g.cfg.Timeout.Seconds())
	return min(g.cfg.Size, max(g.w, int(wait*float64(g.w)/mean)))
}

// waitsAs is how many requests of f wait that are taken for what e is.
func (f *flow) waitsAs(e *entry) int {
	switch e.lane {
	case Short:
		return int(f.shorts)
	case Unknown:
		return int(f.filled[finding])
	}
	return f.waits.n - int(f.shorts+f.filled[finding])
}

// predicted is how long e, a short request that comes now, would wait: flows take turns,
// so those before it are as many of each as it has of its own, and itself.
func (g *Gate) predicted(e *entry) time.Duration {
	n := g.filled[ready]
	if g.cfg.Lanes {
		n = min(n, (int(e.flow.filled[ready])+1)*max(1, g.rings[fast].n))
	}
	return time.Duration(float64(n) * g.load.mean() / float64(max(1, g.w-g.phi)) * float64(time.Second))
}

// drainable is how many short requests the application answers in half a second.
func (g *Gate) drainable() int {
	mean := g.load.mean()
	if mean == 0 {
		return g.cfg.Size
	}
	return max(g.w, int(0.5*float64(g.w)/mean))
}

// patience is how long a request may wait: a long one up to a tenth less than it
// may, so that those who came together are not told together to come again.
func (g *Gate) patience(c class) time.Duration {
	if c == fast {
		return g.cfg.Timeout
	}
	return g.cfg.LongTimeout - time.Duration(g.random.Int64N(int64(g.cfg.LongTimeout/10)+1))
}
