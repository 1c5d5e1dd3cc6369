package admission

import "time"

// nesting is what the gate knows of requests that the application itself sends, while the
// worker that sends one waits for its answer. They go first: nothing else frees that
// worker. And slots are kept for them, or all workers might wait for requests that wait
// for a worker. Those may be nested in others: as many slots as they were seen to be deep
// let one at least have all that it needs, then the next.
type nesting struct {
	waiting  chain[entry]
	inFlight int
	count    uint64        // found
	depth    int           // the deepest that was found lately
	seen     time.Duration // when one so deep was found last
	began    time.Duration // when one that had waited was started last
}

const (
	// nestingFor is how long after a nested request others are expected.
	nestingFor = 10 * time.Minute
	// unmoved is how many times the usual time between two ends must have passed for all
	// slots to be believed to be held by what waits for others.
	unmoved = 8
)

// Nested says that a worker of the application waits for what becomes of the request. Depth
// is 1 if that worker has a request which is not nested itself, else one more than that
// one's.
func (t Ticket) Nested(depth int) {
	if t.g == nil || depth < 1 {
		return
	}
	g := t.g
	g.mu.Lock()
	defer g.mu.Unlock()
	e := t.e
	if !t.current() || e.depth > 0 || !g.cfg.Lanes {
		return
	}
	now := g.now()
	g.wake(now)
	n := &g.nesting
	n.count++
	if depth >= g.nestingDepth(now) {
		n.depth, n.seen = depth, now
	}
	e.depth = uint8(min(depth, 255))
	if e.state == running {
		n.inFlight++
		return
	}
	g.unlink(e)
	n.waiting.pushBack(&e.link)
	g.dispatch(now)
}

// nestingDepth is how many slots only nested requests get.
func (g *Gate) nestingDepth(now time.Duration) int {
	n := &g.nesting
	if n.depth > 0 && now-n.seen >= nestingFor {
		n.depth = 0
	}
	return min(n.depth, g.w-1)
}

// hasSlot reports whether there is a slot for a request that is not nested.
func (g *Gate) hasSlot(now time.Duration) bool {
	return g.in < g.w-g.nestingDepth(now) && g.nesting.waiting.n == 0
}

// dispatchNested starts nested requests.
func (g *Gate) dispatchNested(now time.Duration) {
	for g.nesting.waiting.n > 0 && g.in < g.w && g.answers(now) {
		e := g.nextNested(now)
		if e == nil {
			return
		}
		g.relane(e, g.laneOf(e, now))
		g.nesting.began = now
		g.grant(e, &e.flow.turns[e.queue], now)
	}
}

// nextNested is the one that came last of those that may start: the others may wait for
// what it is part of. Each leaves the slots that those which are nested in it need.
func (g *Gate) nextNested(now time.Duration) *entry {
	n := &g.nesting
	for l, looks := n.waiting.tail, 0; l != nil && looks < lookAt; l, looks = l.prev, looks+1 {
		if g.in < g.w-max(0, g.nestingDepth(now)-int(l.of.depth)) {
			return l.of
		}
	}
	if g.jammed(now) {
		return n.waiting.tail.of
	}
	return nil
}

// jammed reports whether slots are held only by what waits for others, as it seems.
func (g *Gate) jammed(now time.Duration) bool {
	usual := time.Duration(g.load.mean() * float64(time.Second) / float64(g.w))
	return now-max(g.stall.last, g.nesting.began) >= max(tick, unmoved*usual)
}
