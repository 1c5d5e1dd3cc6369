package admission

import (
	"slices"
	"time"
)

// startTicking starts the ticks if they do not run.
func (g *Gate) startTicking() {
	if g.ticking {
		return
	}
	now := g.now()
	g.ticking, g.ticked = true, now
	if g.estimate(now) && g.load.fresh() { // the gate was empty
		g.longCapRaised = now + time.Second - raiseInterval // not before the first estimate
	}
	if g.timer == nil {
		g.timer = g.clock.AfterFunc(tick, g.tick)
		return
	}
	g.timer.Reset(tick)
}

// tick does what the passing of time requires.
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
	} else {
		g.load.advance(g.shortInUse(), now)
		g.load.fold(now) // for snapshots, and for when those who are refused should come again
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

// minPause is how late a tick must be for the machine, or this process, to have been suspended.
// Then nothing is known of what the application did meanwhile.
const minPause = 500 * time.Millisecond

// detectPause reports whether the process was suspended, and excludes that time from the ages of
// requests. Each entry into the gate calls it first, because the first event after a pause may be a
// tick or an answer that has been there for long.
func (g *Gate) detectPause(now time.Duration) (slept bool) {
	late := now - g.ticked - tick
	if !g.ticking || !g.cfg.Lanes || late <= minPause {
		return false
	}
	g.excludePause(late)
	g.ticked = now - tick
	return true
}

// excludePause stops the ageing clock for d.
func (g *Gate) excludePause(d time.Duration) {
	if g.stall.phase.stopped() {
		return // it is stopped already
	}
	g.stall.stoppedTotal += d
	g.stall.lastEnd += d
	for _, c := range [...]*chain[entry]{&g.old, &g.young} {
		for l := c.head; l != nil; l = l.next {
			l.of.ageStart = min(l.of.ageStart, g.ticked-g.stall.stoppedTotal+d)
		}
	}
}

// ageAll makes requests count as long that have been in flight for LongAfter.
func (g *Gate) ageAll(now time.Duration) {
	clock := g.ageing(now)
	for e := g.young.first(); e != nil && clock-e.ageStart >= g.cfg.LongAfter; e = g.young.first() {
		g.age(e, now)
	}
}

// expire refuses requests whose deadlines have passed. A request that has become mixed or long
// since it came may wait longer. So may a request that waits for others of its client: it does not
// lack a slot.
func (g *Gate) expire(now time.Duration) {
	for len(g.deadlines) > 0 && g.deadlines[0].deadline <= now {
		e := g.deadlines[0]
		held := e.client.isThrottled(e.queue) && e.depth == 0
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

// extend gives e the deadline of a long request, and reports whether that is later than the one it
// had.
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

// estimate computes once a second how many slots short requests need. It reports whether it has.
func (g *Gate) estimate(now time.Duration) (folded bool) {
	if !g.load.fold(now) {
		return false
	}
	g.needs[g.folds%len(g.needs)] = g.load.need(g.slots, g.cfg.WaitTarget)
	g.folds++
	g.setLongTarget()
	return true
}

// setLongTarget computes from the estimates how many slots may go to long requests.
func (g *Gate) setLongTarget() {
	g.shortNeed = g.load.servers(max(0, g.load.rate-g.load.unknownRate)*g.load.mean(), g.slots, g.cfg.WaitTarget)
	need := slices.Max(g.needs[:])
	g.longTarget = max(min(g.slots-need, g.slots-g.reserve), g.longMin)
}

// raiseInterval is the least time between two raises of longCap. A long request cannot be made to
// give its slot back, so longCap must not rise faster than the load becomes known.
const (
	raiseInterval = 250 * time.Millisecond
	raiseSteps    = 12 // longCap rises from 0 to its highest value in so many raises, if there are enough slots
)

// adjustLongCap moves longCap towards longTarget: down by one each tick, up more slowly.
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
