package admission

import "time"

// nesting is what the gate knows of nested requests: those that the application itself sends while
// the worker that sends one waits for its answer. They go first, because nothing else frees that
// worker. Slots are kept for them, or all workers might wait for requests that wait for a worker. A
// nested request may send others. As many slots as the greatest depth seen let at least one request
// have all that it needs, and then the next one.
type nesting struct {
	waiting       chain[entry]
	inFlight      int
	found         uint64        // nested requests found so far
	depth         int           // the greatest depth found lately
	expectedUntil time.Duration // until when other requests of that depth are expected
	lastStart     time.Duration // when a nested request that had waited was last started
	startedAhead  int           // nested requests started since the last other one

	lastPeer    time.Duration // when a request last came that may be nested; 0: never
	notNested   int           // of these, how many were found not to be nested since the last nested one
	scarce      bool          // few slots are free, or were a moment ago
	scarceSince time.Duration
}

const (
	// Other nested requests are expected for expectAfterWait after one that had to wait, and for
	// expectAfterStart after one that had not: slots that are kept for them are missing elsewhere.
	expectAfterWait  = 10 * time.Minute
	expectAfterStart = 2 * time.Minute
	// After deadlockFactor times the usual time between the ends of two requests, and at least
	// deadlockMin, all slots are believed to be held by requests that wait for others. By then,
	// their depth would have been found.
	deadlockFactor = 8
	deadlockMin    = 10 * tick
	// knownDepthSamples is how many nested requests must have been found for their depth to be
	// known.
	knownDepthSamples = 20
	// notNestedSamples is how many requests in a row must have been found not to be nested for the
	// sender on this machine to be something else than the application, such as a proxy or a health
	// check.
	notNestedSamples = 10
)

// Nested reports that a worker of the application waits for the answer to the request. Depth is 1
// if the request of that worker is not nested, else one more than the depth of that request. Depth
// 0 reports that the caller has looked, and that no worker waits.
func (t Ticket) Nested(depth int) {
	if t.g == nil || depth < 0 {
		return
	}
	g := t.g
	g.mu.Lock()
	defer g.mu.Unlock()
	if depth == 0 {
		g.nesting.notNested++
		return
	}
	e := t.e
	if !t.current() || e.depth > 0 || !g.cfg.Lanes {
		return
	}
	now := g.now()
	g.detectPause(now)
	n := &g.nesting
	n.found++
	n.notNested = 0
	lasts := expectAfterWait
	if e.state == running {
		lasts = expectAfterStart
	}
	if depth >= g.nestingDepth(now) {
		n.depth, n.expectedUntil = depth, max(n.expectedUntil, now+lasts)
	}
	e.depth = uint8(min(depth, 255))
	if e.state == running {
		n.inFlight++
	} else {
		g.unlink(e)
		n.waiting.pushBack(&e.link)
	}
	g.dispatch(now)
}

// nestingDepth returns how many slots are kept for nested requests: half of them at most.
func (g *Gate) nestingDepth(now time.Duration) int {
	n := &g.nesting
	if n.depth > 0 && now >= n.expectedUntil {
		n.depth = 0
	}
	depth := n.depth
	switch {
	case depth == 0 || g.slots == 1:
		return 0
	case n.found < knownDepthSamples:
		depth = max(depth, g.assumedDepth())
	}
	return min(depth, max(1, g.slots/2))
}

// assumedDepth returns the depth that is assumed of nested requests while too few are known.
func (g *Gate) assumedDepth() int {
	switch {
	case g.slots >= 8:
		return 2
	case g.slots >= 2:
		return 1
	}
	return 0
}

// hasSlot reports whether a slot is free for a request that is not nested.
func (g *Gate) hasSlot(now time.Duration) bool {
	n := &g.nesting
	return g.inUse < g.slots-g.nestingDepth(now) && (n.waiting.n == 0 || g.othersTurn()) && !g.keepsLastSlots(now)
}

// hasShortSlot reports whether a slot is free for a short request. If only long requests hold the
// slots that are not kept for nested ones, a short request may take one that is kept. Otherwise
// long requests would hold all that they may, and nested ones would have the reserve.
func (g *Gate) hasShortSlot(now time.Duration) bool {
	n := &g.nesting
	return g.hasSlot(now) ||
		n.depth > 0 && g.inUse < g.slots && g.inUse-n.inFlight <= g.longInUse && (n.waiting.n == 0 || g.othersTurn())
}

// othersTurn reports whether so many nested requests have gone first that it is another's turn: a
// page may ask for others without end.
func (g *Gate) othersTurn() bool { return g.nesting.startedAhead >= max(1, g.slots/2) }

// longSlots returns how many slots long requests may hold of room, while nested requests are
// expected: it leaves one for a short request and some for those nested in that.
func (g *Gate) longSlots(room int, now time.Duration) int {
	depth := g.nestingDepth(now)
	if depth == 0 {
		return room
	}
	return min(room, max(1, g.slots-depth-1))
}

// keepsLastSlots reports whether the last slots are kept for now. Where requests come that may be
// nested, the last slots are kept for two ticks after the others have been taken. Meanwhile nested
// requests of those others are found, before all workers wait for them.
func (g *Gate) keepsLastSlots(now time.Duration) bool {
	n := &g.nesting
	return n.scarce && now-n.scarceSince < 2*tick && n.depth == 0 && n.notNested < notNestedSamples && g.inUse >= g.slots-g.assumedDepth() && n.lastPeer > 0 && now-n.lastPeer < expectAfterWait
}

// noteScarce notes whether few slots are left.
func (g *Gate) noteScarce(now time.Duration) {
	n := &g.nesting
	switch {
	case g.inUse < g.slots-g.assumedDepth():
		n.scarce = n.scarce && g.inUse >= g.slots/2 // few will soon be left again
	case !n.scarce:
		n.scarce, n.scarceSince = true, now
	}
}

// dispatchNested starts nested requests.
func (g *Gate) dispatchNested(now time.Duration) {
	for g.nesting.waiting.n > 0 && g.inUse < g.slots && g.stallAllows(now) {
		e := g.nextNested(now)
		if e == nil {
			return
		}
		lane := g.laneOf(e, now)
		if lane.class() != fast && g.stall.phase.stopped() {
			return // it cannot be a probe
		}
		g.relane(e, lane)
		g.nesting.lastStart = now
		g.nesting.startedAhead++
		g.grant(e, e.client.queue(e.queue), now)
	}
}

// nextNested returns the newest nested request that may start: the older ones may wait for the page
// that it is a part of. Each leaves the slots that requests nested in it need.
func (g *Gate) nextNested(now time.Duration) *entry {
	n := &g.nesting
	for l, looks := n.waiting.tail, 0; l != nil && looks < batch; l, looks = l.prev, looks+1 {
		if g.inUse < g.slots-max(0, g.nestingDepth(now)-int(l.of.depth)) {
			return l.of
		}
	}
	if g.deadlocked(now) {
		return n.waiting.tail.of
	}
	return nil
}

// deadlocked reports whether all slots seem to be held by requests that wait for others.
func (g *Gate) deadlocked(now time.Duration) bool {
	usual := time.Duration(g.load.mean() * float64(time.Second) / float64(g.slots))
	return now-max(g.stall.lastEnd, g.nesting.lastStart) >= max(deadlockMin, deadlockFactor*usual)
}
