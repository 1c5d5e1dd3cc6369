package admission

import "time"

// mustRefuse decides whether to refuse e, which cannot start now. To make room for e, it may refuse
// another request, one of the longest queue.
func (g *Gate) mustRefuse(e *entry, now time.Duration) (why Reason, refused bool) {
	if !g.cfg.Lanes {
		return Full, g.waitingIn[roomReady] >= g.cfg.Size
	}
	in, most := e.waitingRoom(), g.cfg.LongSize
	if in == roomReady {
		most = g.queueSize()
	}
	g.overloaded = g.overloaded || g.waitingIn[roomReady] >= g.cfg.Size
	switch {
	case e.client.waitingAs(e) >= g.waitLimit(e):
		e.ownFault = true
		return Full, true
	case g.waitingIn[in] >= most && !g.dropFromLongest(e, Full, now):
		return Full, true
	case in != roomReady:
		return 0, false
	case g.stall.phase == stalled && g.waitingIn[roomReady] >= g.drainable() && !g.dropFromLongest(e, Stalled, now):
		return Stalled, true
	case g.predictedWait(e) > g.cfg.Timeout:
		e.ownFault = e.client != g.anonymous && e.client.waitingIn[roomReady] > 0
		return Predicted, true
	}
	return 0, false
}

// queueSize returns how many short requests may wait for slots. From the time when the room was
// full until it is empty, this is fewer than Config.Size: in a long queue everybody waits longer,
// but no more requests are answered, because the excess is refused anyway.
func (g *Gate) queueSize() int {
	mean := g.load.mean()
	if !g.overloaded || mean == 0 {
		return g.cfg.Size
	}
	wait := min(max(g.cfg.Timeout.Seconds()/15, 4*mean), 0.75*g.cfg.Timeout.Seconds())
	return min(g.cfg.Size, max(g.slots, int(wait*float64(g.slots)/mean)))
}

// waitingAs returns how many waiting requests of c are of e's kind: short, unknown, or mixed and
// long.
func (c *client) waitingAs(e *entry) int {
	switch e.lane {
	case Short:
		return int(c.waitingShort)
	case Unknown:
		return int(c.waitingIn[roomUnknown])
	}
	return c.waiting.n - int(c.waitingShort+c.waitingIn[roomUnknown])
}

// predictedWait returns how long e, a short request that arrives now, would wait. Clients are
// served in turn, so of each client as many requests come before e as e's own client has waiting,
// and one more.
func (g *Gate) predictedWait(e *entry) time.Duration {
	n := g.waitingIn[roomReady]
	if g.cfg.Lanes {
		n = min(n, (int(e.client.waitingIn[roomReady])+1)*max(1, g.rings[fast].n))
	}
	return time.Duration(float64(n) * g.load.mean() / float64(max(1, g.slots-g.longInUse)) * float64(time.Second))
}

// drainable returns how many short requests the application answers in half a second.
func (g *Gate) drainable() int {
	mean := g.load.mean()
	if mean == 0 {
		return g.cfg.Size
	}
	return max(g.slots, int(0.5*float64(g.slots)/mean))
}

// forever is a wait that no request sees the end of. With a longer one, the time of its end could not be
// told.
const forever = 100 * 365 * 24 * time.Hour

// maxWait returns how long a request may wait. For a long one, it is shorter by up to a tenth, at
// random, so that requests that came together are not refused together.
func (g *Gate) maxWait(c class) time.Duration {
	if c == fast {
		return min(g.cfg.Timeout, forever)
	}
	wait := min(g.cfg.LongTimeout, forever)
	return wait - time.Duration(g.random.Int64N(int64(wait/10)+1))
}
