package admission

import "time"

// nesting is what the gate knows of requests that the application itself sends, while the
// worker that sends one waits for its answer. They go first: nothing else frees that
// worker. And slots are kept for them, or all workers might wait for requests that wait
// for a worker. Those may be nested in others: as many slots as they were seen to be deep
// let one at least have all that it needs, then the next.
type nesting struct {
	waiting       chain[entry]
	inFlight      int
	found         uint64        // found
	depth         int           // the deepest that was found lately
	expectedUntil time.Duration // how long others so deep are expected
	lastStart     time.Duration // when one that had waited was started last
	startedAhead  int           // started since the last request that is not nested

	lastPeer    time.Duration // when a request came last that may be one; 0: never
	notNested   int           // of those, found since the last nested one to be nested in nothing
	scarce      bool          // few slots are free, or were a moment ago
	scarceSince time.Duration
}

const (
	// nestingFor is how long after a nested request that had to wait others are expected,
	// and nestingShort after one that had not: a slot that is kept is missing elsewhere.
	expectAfterWait  = 10 * time.Minute
	expectAfterStart = 2 * time.Minute
	// unmoved is how many times the usual time between two ends must have passed for all
	// slots to be believed to be held by what waits for others; at least so long that it
	// would have been found out how deep those are nested.
	deadlockFactor = 8
	deadlockMin    = 10 * tick
	// enoughNested is how many must have been found for what they are nested in to be known.
	knownDepthSamples = 20
	// enoughOthers is how many must have been found to be nested in nothing, one after the
	// other, for somebody else of this machine to be who sends requests: a proxy, or what
	// looks whether the application is well.
	notNestedSamples = 10
)

// Nested says that a worker of the application waits for what becomes of the request. Depth
// is 1 if that worker has a request which is not nested itself, else one more than that
// one's; 0 says that the request was looked at, and no worker waits for it.
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

// nestingDepth is how many slots only nested requests get: half of them at most.
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

// assumedDepth is how deep nested requests are taken to be of which nothing is known.
func (g *Gate) assumedDepth() int {
	switch {
	case g.slots >= 8:
		return 2
	case g.slots >= 2:
		return 1
	}
	return 0
}

// hasSlot reports whether there is a slot for a request that is not nested.
func (g *Gate) hasSlot(now time.Duration) bool {
	n := &g.nesting
	return g.inUse < g.slots-g.nestingDepth(now) && (n.waiting.n == 0 || g.othersTurn()) && !g.keepsLastSlots(now)
}

// hasShortSlot reports whether there is one for a short request. It may have one that is
// kept for nested ones where only long requests have the others: else polls would have
// those that they may, and nested ones the reserve.
func (g *Gate) hasShortSlot(now time.Duration) bool {
	n := &g.nesting
	return g.hasSlot(now) ||
		n.depth > 0 && g.inUse < g.slots && g.inUse-n.inFlight <= g.longInUse && (n.waiting.n == 0 || g.othersTurn())
}

// othersTurn reports whether so many nested requests have gone first that one which is
// not is to have its turn: a page may ask for others again and again.
func (g *Gate) othersTurn() bool { return g.nesting.startedAhead >= max(1, g.slots/2) }

// longSlots is how many of the slots that long requests may hold they may hold while nested
// ones are expected, so that a short one and those nested in it have some, too.
func (g *Gate) longSlots(room int, now time.Duration) int {
	depth := g.nestingDepth(now)
	if depth == 0 {
		return room
	}
	return min(room, max(1, g.slots-depth-1))
}

// keepsLastSlots reports whether the last slots are not given away yet. Where requests come
// that may be nested, they are kept for some moments when the others have been taken: what
// those send is found out then, before all workers wait for it.
func (g *Gate) keepsLastSlots(now time.Duration) bool {
	n := &g.nesting
	return n.scarce && now-n.scarceSince < 2*tick && n.depth == 0 && n.notNested < notNestedSamples && g.inUse >= g.slots-g.assumedDepth() && n.lastPeer > 0 && now-n.lastPeer < expectAfterWait
}

// noteScarce notes when few slots are left.
func (g *Gate) noteScarce(now time.Duration) {
	n := &g.nesting
	switch {
	case g.inUse < g.slots-g.assumedDepth():
		n.scarce = n.scarce && g.inUse >= g.slots/2 // they will soon be again
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
			return // it would not find out whether the application answers
		}
		g.relane(e, lane)
		g.nesting.lastStart = now
		g.nesting.startedAhead++
		g.grant(e, &e.client.queues[e.queue], now)
	}
}

// nextNested is the one that came last of those that may start: the others may wait for
// what it is part of. Each leaves the slots that those which are nested in it need.
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

// deadlocked reports whether slots are held only by what waits for others, as it seems.
func (g *Gate) deadlocked(now time.Duration) bool {
	usual := time.Duration(g.load.mean() * float64(time.Second) / float64(g.slots))
	return now-max(g.stall.lastEnd, g.nesting.lastStart) >= max(deadlockMin, deadlockFactor*usual)
}
