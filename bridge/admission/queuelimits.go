package admission

import "time"

// mustRefuse decides about a request that cannot start now. It may refuse another one in
// its place, which has waited behind others of its own.
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

// queueSize is how many short requests may wait for slots. When it has been full once, and
// as long as it does not empty, it is shorter: in a long one everybody waits and no more
// are answered. What comes in excess is refused anyway.
func (g *Gate) queueSize() int {
	mean := g.load.mean()
	if !g.overloaded || mean == 0 {
		return g.cfg.Size
	}
	wait := min(max(g.cfg.Timeout.Seconds()/15, 4*mean), 0.75*g.cfg.Timeout.Seconds())
	return min(g.cfg.Size, max(g.slots, int(wait*float64(g.slots)/mean)))
}

// waitingAs is how many requests of f wait that are taken for what e is.
func (f *client) waitingAs(e *entry) int {
	switch e.lane {
	case Short:
		return int(f.waitingShort)
	case Unknown:
		return int(f.waitingIn[roomUnknown])
	}
	return f.waiting.n - int(f.waitingShort+f.waitingIn[roomUnknown])
}

// predictedWait is how long e, a short request that comes now, would wait: flows take turns,
// so those before it are as many of each as it has of its own, and itself.
func (g *Gate) predictedWait(e *entry) time.Duration {
	n := g.waitingIn[roomReady]
	if g.cfg.Lanes {
		n = min(n, (int(e.client.waitingIn[roomReady])+1)*max(1, g.rings[fast].n))
	}
	return time.Duration(float64(n) * g.load.mean() / float64(max(1, g.slots-g.longInUse)) * float64(time.Second))
}

// drainable is how many short requests the application answers in half a second.
func (g *Gate) drainable() int {
	mean := g.load.mean()
	if mean == 0 {
		return g.cfg.Size
	}
	return max(g.slots, int(0.5*float64(g.slots)/mean))
}

// maxWait is how long a request may wait: a long one up to a tenth less than it
// may, so that those who came together are not told together to come again.
func (g *Gate) maxWait(c class) time.Duration {
	if c == fast {
		return g.cfg.Timeout
	}
	return g.cfg.LongTimeout - time.Duration(g.random.Int64N(int64(g.cfg.LongTimeout/10)+1))
}
