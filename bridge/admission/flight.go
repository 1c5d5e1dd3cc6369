package admission

import "time"

// start gives e a slot.
func (g *Gate) start(e *entry, now time.Duration) {
	g.load.advance(g.wanted(), now)
	if e.lane.class() == fast && g.stall.phase.stopped() {
		g.probe(e, now)
	}
	if e.depth == 0 {
		g.nesting.ahead = 0
	}
	e.state, e.started, e.age0 = running, now, g.ageing(now)
	g.lane[e.lane].started(now - e.arrived)
	e.route.tried = now
	if !e.flow.shared {
		g.settle(e.flow, now)
	}
	if e.lane.class() == fast && !e.guest {
		g.load.came(e.lane)
	}
	if e.lane == Unknown {
		g.finds(e, 1)
	}
	g.census(e, 1)
	g.noteScarce(now)
	if e.declared {
		g.old.pushBack(&e.link)
	} else {
		g.young.pushBack(&e.link)
	}
}

// finish takes e's slot back.
func (g *Gate) finish(e *entry, done bool, now time.Duration) {
	g.load.advance(g.wanted(), now)
	age := g.ageing(now) - e.age0
	if !e.aged && !e.declared && age >= g.cfg.LongAfter && g.cfg.Lanes {
		g.age(e, now) // between two ticks
	}
	e.link.leave()
	f := e.flow
	teaches := g.teaches(e)
	if !f.shared {
		g.settle(f, now)
	}
	g.uncount(e, now)
	g.census(e, -1)
	if e.lane == Unknown {
		g.finds(e, -1)
	}
	if g.in == 0 {
		g.emptied = now
	}
	g.noteScarce(now)
	if e.probe > 0 && e.probe == g.stall.number {
		g.stall.probes--
	}
	if done && e.lane.class() == fast && (e.lane == Short || !e.aged) {
		g.load.ended(min(age, g.cfg.LongAfter))
		g.progress(now)
	}
	if g.cfg.Lanes {
		g.account(e, now-e.started, now)
		if !e.declared && teaches && (done || e.aged) {
			g.teach(e)
		}
		g.follow(e, now)
	}
	g.drop(e)
}

// account notes whose work e was.
func (g *Gate) account(e *entry, took, now time.Duration) {
	all := took.Seconds()
	e.route.busy.add(all, now)
	e.flow.busy.add(all, now)
	if e.lane.class() != fast {
		return
	}
	short := min(took, g.cfg.LongAfter).Seconds()
	g.fastWork.add(short, now)
	e.route.fastWork.add(short, now)
	if e.judge != nil {
		e.judge.fastWork.add(short, now)
	}
}

// census counts e among those in flight, by what it is now; or no longer.
func (g *Gate) census(e *entry, by int) {
	g.in += by
	if e.depth > 0 {
		g.nesting.inFlight += by
	}
	if e.long() {
		g.phi += by
	}
	if e.lane.class() != fast {
		e.flow.slow += int32(by)
		return
	}
	e.flow.fast += int32(by)
	e.route.in += by
	if e.judge != nil {
		e.judge.in += by
	}
	if e.newcomer && !e.aged {
		g.unknown.newcomers += by
	}
	if e.guest && !e.aged {
		g.guests += by
		if e.lane == Unknown {
			g.unknown.guests += by
		}
	}
	switch {
	case e.lane == Unknown && e.aged:
		g.unknown.aged += by
	case e.lane == Unknown:
		g.unknown.young += by
	case !e.newcomer:
		g.shorts += by
	}
}

// teaches reports whether what became of e says something about its route. A flow
// that has used up its budget on a route that is short for others is itself what
// is slow.
func (g *Gate) teaches(e *entry) bool { return !e.aged || !e.flow.spent || !e.route.shortForMost() }

func (g *Gate) teach(e *entry) {
	if e.lane == Unknown && !e.aged && e.route.known() && e.route.mostlyLong() {
		e.route.doubt()
	}
	e.route.learn(e.aged)
	if e.newcomer {
		e.route.group.learn(e.aged)
	}
}

// follow lets those take part again that e was in the way of.
func (g *Gate) follow(e *entry, now time.Duration) {
	for c := range e.flow.turns {
		g.unhold(&e.flow.turns[c])
	}
	if e.route.blocked.n() > 0 {
		g.letIn(e.route, now)
	}
	if e.judge != nil && e.judge.blocked.n() > 0 {
		g.letIn(e.judge, now)
	}
	if e.long() {
		g.letSome(2, now) // mixed ones, which may be of any route
	}
	g.letUnknown()
}

// age makes e, in flight, a long one from now on.
func (g *Gate) age(e *entry, now time.Duration) {
	e.link.leave()
	g.old.pushBack(&e.link)
	g.census(e, -1)
	e.aged = true
	g.census(e, 1)
	f := e.flow
	if e.declared || !f.shared && (f.counted != nil || f.spent && e.route.shortForMost()) {
		return
	}
	if !f.shared {
		f.counted = e
	}
	e.counts = true
	g.count(e, 1, now)
}

// count notes that one more, or fewer, request of e's route is long.
func (g *Gate) count(e *entry, by int, now time.Duration) {
	e.route.age(by, now)
	if e.newcomer {
		e.route.group.age(by, now)
	}
}

func (g *Gate) uncount(e *entry, now time.Duration) {
	if !e.counts {
		return
	}
	e.counts = false
	if e.flow.counted == e {
		e.flow.counted = nil
	}
	g.count(e, -1, now)
}

// restart has e's age count from now on, and reports whether it was a long one.
func (g *Gate) restart(e *entry, now time.Duration) (was bool) {
	if e.declared || e.streams {
		return false
	}
	if was = e.aged; was {
		g.load.advance(g.wanted(), now)
		g.rejuvenate(e, now)
		g.letUnknown()
	}
	e.link.leave()
	g.young.pushBack(&e.link)
	e.started, e.age0 = now, g.ageing(now)
	if e.probe > 0 && e.probe == g.stall.number {
		g.stall.probedAt = now
	}
	return was
}

// rejuvenate makes e one that is not long, after all.
func (g *Gate) rejuvenate(e *entry, now time.Duration) {
	g.uncount(e, now)
	e.link.leave()
	g.young.pushFront(&e.link)
	g.census(e, -1)
	e.aged = false
	g.census(e, 1)
}
