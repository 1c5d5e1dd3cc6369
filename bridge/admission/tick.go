package admission

import (
	"slices"
	"time"
)

// keepTime makes sure that ticks come.
func (g *Gate) keepTime() {
	if g.ticks {
		return
	}
	now := g.now()
	g.ticks, g.ticked = true, now
	if g.estimate(now) && g.load.fresh() { // nobody was here
		g.raised = now + time.Second - raiseAfter // not before the first estimate
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
		g.ticks = false
		g.mu.Unlock()
		return
	}
	now := g.now()
	g.remeasure()
	if g.cfg.Lanes {
		g.load.advance(g.wanted(), now)
		if !g.wake(now) {
			g.watch(now)
		}
		g.ageAll(now)
		g.adapt(now)
		g.lookAgain(now)
		g.overfull = g.overfull && g.filled[ready] > 0
	}
	g.ticked = now
	g.dispatch(now)
	g.expire(now)
	g.dispatch(now)
	g.ticks = g.in > 0 || len(g.deadlines) > 0
	if g.ticks {
		g.timer.Reset(tick)
	}
	tell := len(g.reports) > 0
	g.mu.Unlock()
	if tell {
		g.report()
	}
}

// lateness is how late a tick must come for the machine, or this process, to have
// stood still: then nothing is known of what the application did meanwhile.
const lateness = 500 * time.Millisecond

// wake reports whether the process has stood still, and has that time not count.
// Whoever comes first afterwards asks, be it a tick or an answer that had been there
// for long.
func (g *Gate) wake(now time.Duration) (slept bool) {
	late := now - g.ticked - tick
	if !g.ticks || !g.cfg.Lanes || late <= lateness {
		return false
	}
	g.oversleep(late)
	g.ticked = now - tick
	return true
}

// oversleep has the ageing clock stand still for d.
func (g *Gate) oversleep(d time.Duration) {
	if g.stall.phase.stopped() {
		return // it stands still
	}
	g.stall.total += d
	g.stall.last += d
	for _, c := range [...]*chain[entry]{&g.old, &g.young} {
		for l := c.head; l != nil; l = l.next {
			l.of.age0 = min(l.of.age0, g.ticked-g.stall.total+d)
		}
	}
}

// ageAll makes those long that have been in flight for long enough.
func (g *Gate) ageAll(now time.Duration) {
	clock := g.ageing(now)
	for e := g.young.first(); e != nil && clock-e.age0 >= g.cfg.LongAfter; e = g.young.first() {
		g.age(e, now)
	}
}

// expire refuses those that have waited for as long as they may. What has become
// mixed or long while it waited may wait longer, and so may what waits for others of
// its own flow: it does not lack a slot.
func (g *Gate) expire(now time.Duration) {
	for len(g.deadlines) > 0 && g.deadlines[0].deadline <= now {
		e := g.deadlines[0]
		held := e.flow.turns[e.queue].held && e.depth == 0
		if lane := g.laneOf(e, now); lane.class() != e.queue {
			was := e.deadline
			g.relane(e, lane)
			if e.deadline > was {
				continue
			}
		} else if held && g.extend(e) {
			continue
		}
		e.ownFault = held || g.isFlood(int(e.flow.home.crowds[e.room()].n), e.room())
		g.expel(e, TimedOut, now)
	}
}

// extend gives e the patience of a long one, and reports whether it had less.
func (g *Gate) extend(e *entry) bool {
	if e.patient {
		return false
	}
	e.patient = true
	deadline := e.arrived + g.patience(long)
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
	g.needs[g.folds%len(g.needs)] = g.load.need(g.w, g.cfg.WaitTarget)
	g.folds++
	g.aim()
	return true
}

// aim finds out what the estimates mean for the slots there are.
func (g *Gate) aim() {
	g.shortNeed = g.load.servers(max(0, g.load.rate-g.load.unknownRate)*g.load.mean(), g.w, g.cfg.WaitTarget)
	need := slices.Max(g.needs[:])
	g.target = max(min(g.w-need, g.w-g.reserve), g.longMin)
}

// raiseAfter is how long longCap stays before it is raised again. What a long
// request has taken cannot be taken back: it may be given no faster than the load
// becomes known.
const (
	raiseAfter = 250 * time.Millisecond
	raises     = 12 // in so many steps, if there are workers enough
)

// adapt moves longCap towards what short requests leave: down by one per tick, up
// more slowly.
func (g *Gate) adapt(now time.Duration) {
	if g.stall.phase.stopped() {
		g.load.forget(now)
		return
	}
	g.estimate(now)
	switch {
	case g.target > g.longCap && now-g.raised >= raiseAfter:
		g.longCap = min(g.longCap+max(1, (g.w-g.reserve)/raises), g.target)
		g.raised = now
	case g.target < g.longCap:
		g.longCap--
	}
	g.longCap = min(g.longCap, g.w-g.reserve)
}
