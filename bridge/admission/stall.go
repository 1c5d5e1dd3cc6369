package admission

import "time"

// phase is what is believed of the application: whether it answers.
//
//	flowing -> suspected: requests of two flows for routes that are known to be short
//	    are in flight, and none such has ended for a time
//	suspected -> flowing: one has ended, or those are gone
//	suspected -> stalled: nobody answers those who were sent to find out, either
//	stalled -> recovering: one has ended, or all are gone
//	recovering -> flowing: as many may start as ever
type phase uint8

const (
	flowing phase = iota
	suspected
	stalled
	recovering
)

var phaseNames = [...]string{"none", "suspected", "stalled", "recovering"}

func (p phase) String() string { return phaseNames[p] }

// stopped reports whether short requests start only to find out if they are answered.
func (p phase) stopped() bool { return p == suspected || p == stalled }

// enoughProbes is how many requests must have been sent to find out, and not been
// answered, for a stall to be certain although few are stuck: two slow pages on a
// quiet day are none.
const enoughProbes = 3

// maxSpacing is the longest time between two of them.
const maxSpacing = 30 * time.Second

type stallState struct {
	phase  phase
	number uint64        // of suspicions
	began  time.Duration // of a stall: when a short request ended last

	probes   int           // in flight, sent to find out
	sent     int           // in this stall
	probedAt time.Duration // when the last one was
	spacing  time.Duration // until the next one, if that does not end

	ramp int // recovering: slots in use at most

	last  time.Duration // when a short request ended the last time
	total time.Duration // how long stalls have lasted in all, but for the one going on
	count uint64        // of those that were certain
}

// Stall is a time in which the application answered nobody.
type Stall struct {
	Began time.Time  // when it answered last
	Ended time.Time  // when it answered again; zero: it has not
	Held  []InFlight // what was in flight when the stall was certain, the oldest first
}

// ageing is the clock that requests age by: it stands still in a stall.
func (g *Gate) ageing(now time.Duration) time.Duration {
	if g.stall.phase.stopped() {
		return g.stall.began - g.stall.total
	}
	return now - g.stall.total
}

// stallAfter is how long no short request must end.
func (g *Gate) stallAfter() time.Duration {
	return max(g.cfg.StallAfter, time.Duration(20*g.load.mean()*float64(time.Second)))
}

// enterPhase is the one place where the phase changes.
func (g *Gate) enterPhase(to phase, now time.Duration) {
	s := &g.stall
	from := s.phase
	if from.stopped() && !to.stopped() {
		s.total += now - s.began
		g.load.forget(now)
	}
	s.phase = to
	switch to {
	case suspected:
		s.number++
		s.probes, s.sent, s.spacing = 0, 0, g.cfg.StallAfter
	case stalled:
		s.count++
		s.spacing *= 2
		g.tell(Stall{Began: g.epoch.Add(s.began), Held: g.inFlight(now)})
	case recovering:
		s.ramp = g.in + 2
		g.tell(Stall{Began: g.epoch.Add(s.began), Ended: g.epoch.Add(now)})
	}
}

// watch is what every tick does about stalls.
func (g *Gate) watch(now time.Duration) {
	s := &g.stall
	switch s.phase {
	case flowing:
		if g.shorts >= 2 && now-s.last >= g.stallAfter() {
			g.suspect(now)
		}
	case suspected:
		switch {
		case g.shorts == 0 && s.probes == 0:
			g.enterPhase(flowing, now)
		case g.certain(now):
			g.enterPhase(stalled, now)
		}
	case stalled:
		if g.shorts == 0 && s.probes == 0 {
			g.enterPhase(recovering, now)
		}
	case recovering:
		g.ramp(max(1, g.w/64), now)
	}
}

// certain reports whether a suspicion has proved true: most slots that are not long
// ones' are stuck, and there is none to find out with, or who was sent is stuck, too;
// or enough of those are.
func (g *Gate) certain(now time.Duration) bool {
	s := &g.stall
	unanswered := s.probes > 0 && now-s.probedAt >= g.cfg.StallAfter
	most := 2*g.shorts >= g.w-g.phi
	return most && (unanswered || g.in >= g.w) || unanswered && s.sent >= enoughProbes
}

// ramp has n more start.
func (g *Gate) ramp(n int, now time.Duration) {
	if g.stall.ramp += n; g.stall.ramp >= g.w {
		g.enterPhase(flowing, now)
	}
}

// progress notes that a short request has ended.
func (g *Gate) progress(now time.Duration) {
	g.stall.last = now
	switch g.stall.phase {
	case suspected:
		g.enterPhase(flowing, now)
	case stalled:
		g.enterPhase(recovering, now)
	case recovering:
		g.ramp(2, now)
	}
}

// mayProbe reports whether one may start to find out whether the application answers.
func (g *Gate) mayProbe(now time.Duration) bool {
	return g.stall.probes == 0 || now-g.stall.probedAt >= g.stall.spacing
}

// probe notes that e starts to find out.
func (g *Gate) probe(e *entry, now time.Duration) {
	s := &g.stall
	e.probe = s.number
	s.probes++
	s.sent++
	s.probedAt = now
	if s.phase == stalled {
		s.spacing = min(2*s.spacing, maxSpacing)
	}
}

// suspect begins a stall if requests of two flows are stuck: in flight for long
// enough, and not for long already when the last one ended.
func (g *Gate) suspect(now time.Duration) {
	s := &g.stall
	var flow *flow
	flows, began := 0, now
	after := g.stallAfter()
	for _, c := range [...]*chain[entry]{&g.old, &g.young} {
		for l := c.head; l != nil; l = l.next {
			e := l.of
			if e.lane != Short || e.newcomer || now-e.started < after || e.started < s.last-after {
				continue
			}
			if flow == nil || e.flow.shared || e.flow != flow {
				flows++
			}
			flow = e.flow
			began = min(began, e.started)
		}
	}
	if flows < 2 {
		return
	}
	s.began = max(began, s.last)
	clock := s.began - s.total // the time since then does not count as age
	for l := g.young.head; l != nil; l = l.next {
		l.of.age0 = min(l.of.age0, clock)
	}
	g.enterPhase(suspected, now)
	for l := g.old.tail; l != nil; {
		e, prev := l.of, l.prev
		e.age0 = min(e.age0, clock)
		if e.aged && !e.streams && clock-e.age0 < g.cfg.LongAfter {
			g.rejuvenate(e, now)
		}
		l = prev
	}
}

// tell has OnStall called, when the mutex is free again.
func (g *Gate) tell(s Stall) {
	if g.onStall != nil {
		g.reports = append(g.reports, s)
	}
}

// report calls OnStall for what there is to report.
func (g *Gate) report() {
	g.reportMu.Lock()
	defer g.reportMu.Unlock()
	for {
		g.mu.Lock()
		if len(g.reports) == 0 {
			g.mu.Unlock()
			return
		}
		s := g.reports[0]
		g.reports = g.reports[1:]
		g.mu.Unlock()
		oldestFirst(s.Held)
		g.onStall(s)
	}
}
