package admission

import (
	"slices"
	"time"
)

// startTicking makes sure that ticks come.
func (g *Gate) startTicking() {
	if g.ticking {
		return
	}
	now := g.now()
	g.ticking, g.ticked = true, now
	if g.estimate(now) && g.load.fresh() { // nobody was here
		g.longCapRaised = now + time.Second - raiseInterval // not before the first estimate
	}
	if g.timer == nil {
		g.timer = g.clock.AfterFunc(tick, g.tick)
		return
	}
	g.timer.Reset(tick)
}

// tick does what time makes necessary.
func (g *Gate) tick() {
	g.mu.Lock()
	if g.closed {
		g.ticking = false
		g.mu.Unlock()
		return
	}
	now := g.now()
	g.remeasure()
	if g.cfg.Lanes {
		g.load.advance(g.shortInUse(), now)
		if !g.detectPause(now) {
			g.checkStall(now)
		}
		g.ageAll(now)
		g.adjustLongCap(now)
		g.recheck(now)
		g.overloaded = g.overloaded && g.waitingIn[roomReady] > 0
	}
	g.ticked = now
	g.dispatch(now)
	g.expire(now)
	g.dispatch(now)
	g.ticking = g.inUse > 0 || len(g.deadlines) > 0
	if g.ticking {
		g.timer.Reset(tick)
	}
	tell := len(g.reports) > 0
	g.mu.Unlock()
	if tell {
		g.deliverReports()
	}
}

// minPause is how late a tick must come for the machine, or this process, to have
// stood still: then nothing is known of what the application did meanwhile.
const minPause = 500 * time.Millisecond

// detectPause reports whether the process has stood still, and has that time not count.
// Whoever comes first afterwards asks, be it a tick or an answer that had been there
// for long.
func (g *Gate) detectPause(now time.Duration) (slept bool) {
	late := now - g.ticked - tick
	if !g.ticking || !g.cfg.Lanes || late <= minPause {
		return false
	}
	g.excludePause(late)
	g.ticked = now - tick
	return true
}

// excludePause has the ageing clock stand still for d.
func (g *Gate) excludePause(d time.Duration) {
	if g.stall.phase.stopped() {
		return // it stands still
	}
	g.stall.stoppedTotal += d
	g.stall.lastEnd += d
	for _, c := range [...]*chain[entry]{&g.old, &g.young} {
		for l := c.head; l != nil; l = l.next {
			l.of.ageStart = min(l.of.ageStart, g.ticked-g.stall.stoppedTotal+d)
		}
	}
}

// ageAll makes those long that have been in flight for long enough.
func (g *Gate) ageAll(now time.Duration) {
	clock := g.ageing(now)
	for e := g.young.first(); e != nil && clock-e.ageStart >= g.cfg.LongAfter; e = g.young.first() {
		g.age(e, now)
	}
}

// expire refuses those that have waited for as long as they may. What has become
// mixed or long while it waited may wait longer, and so may what waits for others of
// its own flow: it does not lack a slot.
func (g *Gate) expire(now time.Duration) {
	for len(g.deadlines) > 0 && g.deadlines[0].deadline <= now {
		e := g.deadlines[0]
		held := e.client.queues[e.queue].throttled && e.depth == 0
		if lane := g.laneOf(e, now); lane.class() != e.queue {
			was := e.deadline
			g.relane(e, lane)
			if e.deadline > was {
				continue
			}
		} else if held && g.extend(e) {
			continue
		}
		e.ownFault = held || g.isFlood(int(e.client.address.waitCounts[e.waitingRoom()].n), e.waitingRoom())
		g.refuseWaiter(e, TimedOut, now)
	}
}

// extend gives e the patience of a long one, and reports whether it had less.
func (g *Gate) extend(e *entry) bool {
	if e.longWait {
		return false
	}
	e.longWait = true
	deadline := e.arrived + g.maxWait(long)
	if deadline <= e.deadline {
		return false
	}
	e.deadline = deadline
	g.deadlines.fix(e)
	return true
}

// estimate finds out once a second what short requests leave, and reports whether
// it was time.
func (g *Gate) estimate(now time.Duration) (folded bool) {
	if !g.load.fold(now) {
		return false
	}
	g.needs[g.folds%len(g.needs)] = g.load.need(g.slots, g.cfg.WaitTarget)
	g.folds++
	g.setLongTarget()
	return true
}

// setLongTarget finds out what the estimates mean for the slots there are.
func (g *Gate) setLongTarget() {
	g.shortNeed = g.load.servers(max(0, g.load.rate-g.load.unknownRate)*g.load.mean(), g.slots, g.cfg.WaitTarget)
	need := slices.Max(g.needs[:])
	g.longTarget = max(min(g.slots-need, g.slots-g.reserve), g.longMin)
}

// raiseAfter is how long longCap stays before it is raised again. What a long
// request has taken cannot be taken back: it may be given no faster than the load
// becomes known.
const (
	raiseInterval = 250 * time.Millisecond
	raiseSteps    = 12 // in so many steps, if there are workers enough
)

// adjustLongCap moves longCap towards what short requests leave: down by one per tick, up
// more slowly.
func (g *Gate) adjustLongCap(now time.Duration) {
	if g.stall.phase.stopped() {
		g.load.restart(now)
		return
	}
	g.estimate(now)
	switch {
	case g.longTarget > g.longCap && now-g.longCapRaised >= raiseInterval:
		g.longCap = min(g.longCap+max(1, (g.slots-g.reserve)/raiseSteps), g.longTarget)
		g.longCapRaised = now
	case g.longTarget < g.longCap:
		g.longCap--
	}
	g.longCap = min(g.longCap, g.slots-g.reserve)
}
