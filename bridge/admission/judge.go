package admission

import "time"

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
	case r.known() && r.mostlyLong():
		return Long
	case r.tainted(now):
		return Mixed
	case r.known():
		return Short
	case r.long+r.aged > r.short && (r.aged > 0 || now-r.tried < tryAgain):
		return Mixed // for all that is known
	}
	e.newcomer = true
	if r.group.benign(now) {
		e.judge = r.group
		return Short
	}
	return Unknown
}

// mayStart reports whether e, which has just come, may start before those who
// wait: none of them could.
func (g *Gate) mayStart(e *entry, now time.Duration) bool {
	if !g.free() {
		return false
	}
	if e.queue != fast && !g.freeForLong(now) {
		return false
	}
	return g.room(e.flow, e.queue, now) && (e.queue != fast || g.blocker(e, now) == nil)
}

// free reports whether a slot may be given away at all: any but the last of a
// stall's probe.
func (g *Gate) free() bool {
	switch {
	case g.in >= g.w:
		return false
	case g.stall.on:
		return g.stall.probe == nil
	case g.stall.ramp > 0:
		return g.in < g.stall.ramp
	}
	return true
}

// idleAfter is how long nothing must be in flight for a long request to start
// although short ones have needed all slots lately.
const idleAfter = time.Second

// freeForLong reports whether a free slot may go to a long request.
func (g *Gate) freeForLong(now time.Duration) bool {
	return !g.stall.on && (g.phi < g.longCap || g.in == 0 && now-g.emptied >= idleAfter)
}

// blocker returns the chain in which e, short or unknown, must wait for others of
// its kind; nil if there is room for it.
func (g *Gate) blocker(e *entry, now time.Duration) *chain[entry] {
	if !g.cfg.Lanes || g.stall.on { // a probe may be anything
		return nil
	}
	if r := e.route; r.in >= g.routeLimit(r, now) {
		return &r.blocked
	}
	if e.judge != nil && e.judge.in >= g.share(e.judge, now) {
		return &e.judge.blocked
	}
	if e.lane == Unknown && g.roomForUnknown() <= 0 {
		return &g.unknown.blocked
	}
	return nil
}

// share is what one route, or all newcomers that are judged by the same record, may
// have in flight: should all of them turn slow at once, the others still have the
// reserve, or as much of it as they have needed lately.
func (g *Gate) share(r *route, now time.Duration) int {
	least := g.w - g.reserve
	switch {
	case g.w < 4:
		return g.w // half an application is too much to hold back
	case r.in < least || now < recent/2:
		return least
	case now-r.sharedAt >= time.Second:
		others := (g.busy.value(now) - r.busy.value(now)) / recent.Seconds()
		r.othersNeed = g.load.servers(max(others, 0), g.w, g.cfg.WaitTarget)
		r.sharedAt = now
	}
	return max(least, g.w-r.othersNeed)
}

func (g *Gate) routeLimit(r *route, now time.Duration) int {
	limit := g.share(r, now)
	if r.known() {
		return limit
	}
	return min(1+opening*r.short, limit)
}

// roomForUnknown is how many requests of unknown routes may start now. They may
// turn out to be long, and short ones must have room even then; but one must always
// be able to find out, unless one has and is still at it.
func (g *Gate) roomForUnknown() int {
	u := &g.unknown
	if u.young+u.aged == 0 {
		return 1
	}
	return min(g.u-u.young, g.target+max(1, g.reserve/2)-g.phi-u.newcomers)
}

// mustRefuse decides about a request that cannot start now.
func (g *Gate) mustRefuse(e *entry) (why Reason, refused bool) {
	if e.queue != fast {
		return Full, g.waiting[mixed]+g.waiting[long] >= g.cfg.LongSize
	}
	n := g.waiting[fast] - g.unknown.waiting
	switch {
	case e.lane == Unknown:
		return Full, g.unknown.waiting+g.waiting[mixed]+g.waiting[long] >= g.cfg.LongSize
	case n >= g.cfg.Size:
		return Full, true
	case !g.cfg.Lanes:
		return 0, false
	case !e.flow.shared && e.flow.waiting >= max(g.cfg.FlowLimit, g.cfg.Size/4):
		return Full, true
	case g.stall.on && n >= g.drainable():
		return Stalled, true
	case g.predicted() > g.cfg.Timeout:
		return Predicted, true
	}
	return 0, false
}

// predicted is how long a short request that comes now would wait.
func (g *Gate) predicted() time.Duration {
	n := max(0, g.waiting[fast]-g.unknown.waiting-g.held)
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
