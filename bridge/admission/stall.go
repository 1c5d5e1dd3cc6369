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
	answering phase = iota
	suspected
	stalled
	recovering
)

var phaseNames = [...]string{"none", "suspected", "stalled", "recovering"}

func (p phase) String() string { return phaseNames[p] }

// stopped reports whether short requests start only to find out if they are answered.
func (p phase) stopped() bool { return p == suspected || p == stalled }

// confirmingProbes is how many requests must have been sent to find out, and not been
// answered, for a stall to be certain although few are stuck: two slow pages on a
// quiet day are none.
const confirmingProbes = 3

// maxProbeInterval is the longest time between two of them.
const maxProbeInterval = 30 * time.Second

type stallState struct {
	phase     phase
	suspicion uint64        // of suspicions
	began     time.Duration // of a stall: when a short request ended last

	probes        int           // in flight, sent to find out
	sent          int           // in this stall
	probedAt      time.Duration // when the last one was
	probeInterval time.Duration // until the next one, if that does not end

	ramp int // recovering: slots in use at most

	lastEnd      time.Duration // when a short request ended the last time
	stoppedTotal time.Duration // how long stalls have lasted in all, but for the one going on
	count        uint64        // of those that were certain
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
		return g.stall.began - g.stall.stoppedTotal
	}
	return now - g.stall.stoppedTotal
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
		s.stoppedTotal += now - s.began
		g.load.restart(now)
	}
	s.phase = to
	switch to {
	case suspected:
		s.suspicion++
		s.probes, s.sent, s.probeInterval = 0, 0, g.cfg.StallAfter
	case stalled:
		s.count++
		s.probeInterval *= 2
		g.queueReport(Stall{Began: g.epoch.Add(s.began), Held: g.inFlight(now)})
	case recovering:
		s.ramp = g.inUse + 2
		g.queueReport(Stall{Began: g.epoch.Add(s.began), Ended: g.epoch.Add(now)})
	}
}

// checkStall is what every tick does about stalls.
func (g *Gate) checkStall(now time.Duration) {
	s := &g.stall
	switch s.phase {
	case answering:
		if g.knownShort >= 2 && now-s.lastEnd >= g.stallAfter() {
			g.suspect(now)
		}
	case suspected:
		switch {
		case g.knownShort == 0 && s.probes == 0:
			g.enterPhase(answering, now)
		case g.stallConfirmed(now):
			g.enterPhase(stalled, now)
		}
	case stalled:
		if g.knownShort == 0 && s.probes == 0 {
			g.enterPhase(recovering, now)
		}
	case recovering:
		g.ramp(max(1, g.slots/64), now)
	}
}

// stallConfirmed reports whether a suspicion has proved true: most slots that are not long
// ones' are stuck, and there is none to find out with, or who was sent is stuck, too;
// or enough of those are.
func (g *Gate) stallConfirmed(now time.Duration) bool {
	s := &g.stall
	unanswered := s.probes > 0 && now-s.probedAt >= g.cfg.StallAfter
	most := 2*g.knownShort >= g.slots-g.longInUse
	return most && (unanswered || g.inUse >= g.slots) || unanswered && s.sent >= confirmingProbes
}

// ramp has n more start.
func (g *Gate) ramp(n int, now time.Duration) {
	if g.stall.ramp += n; g.stall.ramp >= g.slots {
		g.enterPhase(answering, now)
	}
}

// progress notes that a short request has ended.
func (g *Gate) progress(now time.Duration) {
	g.stall.lastEnd = now
	switch g.stall.phase {
	case suspected:
		g.enterPhase(answering, now)
	case stalled:
		g.enterPhase(recovering, now)
	case recovering:
		g.ramp(2, now)
	}
}

// mayProbe reports whether one may start to find out whether the application answers.
func (g *Gate) mayProbe(now time.Duration) bool {
	return g.stall.probes == 0 || now-g.stall.probedAt >= g.stall.probeInterval
}

// probe notes that e starts to find out.
func (g *Gate) probe(e *entry, now time.Duration) {
	s := &g.stall
	e.probe = s.suspicion
	s.probes++
	s.sent++
	s.probedAt = now
	if s.phase == stalled {
		s.probeInterval = min(2*s.probeInterval, maxProbeInterval)
	}
}

// suspect begins a stall if requests of two flows are stuck: in flight for long
// enough, and not for long already when the last one ended.
func (g *Gate) suspect(now time.Duration) {
	s := &g.stall
	var clientKey *client
	clients, began := 0, now
	after := g.stallAfter()
	for _, c := range [...]*chain[entry]{&g.old, &g.young} {
		for l := c.head; l != nil; l = l.next {
			e := l.of
			if e.lane != Short || e.newRoute || now-e.started < after || e.started < s.lastEnd-after {
				continue
			}
			if clientKey == nil || e.client.shared || e.client != clientKey {
				clients++
			}
			clientKey = e.client
			began = min(began, e.started)
		}
	}
	if clients < 2 {
		return
	}
	s.began = max(began, s.lastEnd)
	clock := s.began - s.stoppedTotal // the time since then does not count as age
	for l := g.young.head; l != nil; l = l.next {
		l.of.ageStart = min(l.of.ageStart, clock)
	}
	g.enterPhase(suspected, now)
	for l := g.old.tail; l != nil; {
		e, prev := l.of, l.prev
		e.ageStart = min(e.ageStart, clock)
		if e.aged && !e.streams && clock-e.ageStart < g.cfg.LongAfter {
			g.unage(e, now)
		}
		l = prev
	}
}

// queueReport has OnStall called, when the mutex is free again.
func (g *Gate) queueReport(s Stall) {
	if g.onStall != nil {
		g.reports = append(g.reports, s)
	}
}

// deliverReports calls OnStall for what there is to report.
func (g *Gate) deliverReports() {
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
