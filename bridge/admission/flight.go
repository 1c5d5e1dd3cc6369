package admission

import "time"

// start gives e a slot.
func (g *Gate) start(e *entry, now time.Duration) {
	g.load.advance(g.shortInUse(), now)
	if e.lane.class() == fast && g.stall.phase.stopped() {
		g.probe(e, now)
	}
	if e.depth == 0 {
		g.nesting.startedAhead = 0
	}
	e.state, e.started, e.ageStart = running, now, g.ageing(now)
	g.counts[e.lane].started(now - e.arrived)
	e.route.lastStart = now
	if !e.client.shared {
		g.updateBudget(e.client, now)
	}
	if e.lane.class() == fast && !e.borrows {
		g.load.arrived(e.lane)
	}
	if e.lane == Unknown {
		g.countUnknown(e, 1)
	}
	g.countInFlight(e, 1)
	g.noteScarce(now)
	if e.declared {
		g.old.pushBack(&e.link)
	} else {
		g.young.pushBack(&e.link)
	}
	e.runningIndex = int32(len(g.running))
	g.running = append(g.running, e)
}

// leaveRunning removes e from running: the last one takes its place.
func (g *Gate) leaveRunning(e *entry) {
	last := len(g.running) - 1
	moved := g.running[last]
	g.running[e.runningIndex], moved.runningIndex = moved, e.runningIndex
	g.running[last] = nil
	g.running = g.running[:last]
}

// finish takes the slot of e back.
func (g *Gate) finish(e *entry, done bool, now time.Duration) {
	g.load.advance(g.shortInUse(), now)
	age := g.ageing(now) - e.ageStart
	if !e.aged && !e.declared && age >= g.cfg.LongAfter && g.cfg.Lanes {
		g.age(e, now) // it has become long since the last tick
	}
	e.link.leave()
	g.leaveRunning(e)
	if done {
		g.counts[e.lane].ended(now - e.arrived)
	}
	c := e.client
	teaches := g.isSample(e)
	if !c.shared {
		g.updateBudget(c, now)
	}
	g.uncountAged(e, now)
	g.countInFlight(e, -1)
	if e.lane == Unknown {
		g.countUnknown(e, -1)
	}
	if g.inUse == 0 {
		g.idleSince = now
	}
	g.noteScarce(now)
	if e.probe > 0 && e.probe == g.stall.suspicion {
		g.stall.probes--
	}
	if done && e.lane.class() == fast && (e.lane == Short || !e.aged) {
		g.load.completed(min(age, g.cfg.LongAfter))
		g.progress(now)
	}
	if g.cfg.Lanes {
		g.chargeWork(e, now-e.started, now)
		if !e.declared && teaches && (done || e.aged) {
			g.recordSample(e)
		}
		g.unblockAfter(e, now)
	}
	g.discard(e)
}

// chargeWork adds the time of e to the work of its route and client.
func (g *Gate) chargeWork(e *entry, took, now time.Duration) {
	all := took.Seconds()
	e.route.workerSeconds.add(all, now)
	e.client.workerSeconds.add(all, now)
	if e.lane.class() != fast {
		return
	}
	short := min(took, g.cfg.LongAfter).Seconds()
	g.fastSeconds.add(short, now)
	e.route.fastSeconds.add(short, now)
	if e.record != nil {
		e.record.fastSeconds.add(short, now)
	}
}

// countInFlight adds by to every count of requests in flight that e belongs to, as it is now.
func (g *Gate) countInFlight(e *entry, by int) {
	g.inUse += by
	lane := &g.counts[e.lane]
	lane.inFlight += by
	if e.aged {
		lane.aged += by
	}
	if e.abandoned {
		g.abandoned += by
	}
	if e.depth > 0 {
		g.nesting.inFlight += by
	}
	if e.long() {
		g.longInUse += by
	}
	if e.upgrade {
		g.upgradesInUse += by
	}
	if e.lane.class() != fast {
		e.client.slow += int32(by)
		return
	}
	e.client.fast += int32(by)
	e.route.inFlight += by
	if e.record != nil {
		e.record.inFlight += by
	}
	if e.newRoute && !e.aged {
		g.unknown.newRoutes += by
	}
	if e.borrows && !e.aged {
		g.borrowed += by
		if e.lane == Unknown {
			g.unknown.borrowed += by
		}
	}
	switch {
	case e.lane == Unknown && e.aged:
		g.unknown.aged += by
	case e.lane == Unknown:
		g.unknown.young += by
	case !e.newRoute:
		g.knownShort += by
	}
}

// isSample reports whether the time of e says something about its route. If a client has spent its
// budget on a route that is short for others, the client is what is slow.
func (g *Gate) isSample(e *entry) bool { return !e.aged || !e.client.spent || !e.route.mostlyShort() }

func (g *Gate) recordSample(e *entry) {
	if e.lane == Unknown && !e.aged && e.route.known() && e.route.mostlyLong() {
		e.route.discount()
	}
	e.route.learn(e.aged)
	if e.newRoute {
		e.route.group.learn(e.aged)
	}
}

// unblockAfter unblocks requests that may have waited for e to end.
func (g *Gate) unblockAfter(e *entry, now time.Duration) {
	for _, q := range e.client.queues {
		g.unthrottle(q)
	}
	if e.route.blocked.n() > 0 {
		g.unblockRoute(e.route, now)
	}
	if e.record != nil && e.record.blocked.n() > 0 {
		g.unblockRoute(e.record, now)
	}
	if e.long() {
		g.recheckRoutes(2, now) // mixed ones, of any route
	}
	g.releaseUnknown()
}

// age makes e, in flight, count as long from now on.
func (g *Gate) age(e *entry, now time.Duration) {
	e.link.leave()
	g.old.pushBack(&e.link)
	g.countInFlight(e, -1)
	e.aged = true
	g.countInFlight(e, 1)
	c := e.client
	if e.declared || !c.shared && (c.agedEntry != nil || c.spent && e.route.mostlyShort()) {
		return
	}
	if !c.shared {
		c.agedEntry = e
	}
	e.countsAsAged = true
	g.countAged(e, 1, now)
}

// countAged adds by to the long requests in flight of e's route.
func (g *Gate) countAged(e *entry, by int, now time.Duration) {
	e.route.addAged(by, now)
	if e.newRoute {
		e.route.group.addAged(by, now)
	}
}

func (g *Gate) uncountAged(e *entry, now time.Duration) {
	if !e.countsAsAged {
		return
	}
	e.countsAsAged = false
	if e.client.agedEntry == e {
		e.client.agedEntry = nil
	}
	g.countAged(e, -1, now)
}

// restartAge makes the age of e count from now on. It reports whether e was long.
func (g *Gate) restartAge(e *entry, now time.Duration) (was bool) {
	if e.declared || e.streams {
		return false
	}
	if was = e.aged; was {
		g.load.advance(g.shortInUse(), now)
		g.unage(e, now)
		g.releaseUnknown()
	}
	e.link.leave()
	g.young.pushBack(&e.link)
	e.started, e.ageStart = now, g.ageing(now)
	if e.probe > 0 && e.probe == g.stall.suspicion {
		g.stall.probedAt = now
	}
	return was
}

// unage makes e, which was long, count as not long.
func (g *Gate) unage(e *entry, now time.Duration) {
	g.uncountAged(e, now)
	e.link.leave()
	g.young.pushFront(&e.link)
	g.countInFlight(e, -1)
	e.aged = false
	g.countInFlight(e, 1)
}
