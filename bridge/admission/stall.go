package admission

import "time"

// phase is what the gate believes of the application: whether it answers.
//
//	answering -> suspected: requests of two clients for routes that are known to be short are
//	    in flight, and no short request has ended for some time
//	suspected -> answering: a short request has ended, or the stuck ones are gone
//	suspected -> stalled: probes are not answered, either
//	stalled -> recovering: a short request has ended, or all of them are gone
//	recovering -> answering: as many requests may start as there are slots
type phase uint8

const (
	answering phase = iota
	suspected
	stalled
	recovering
)

var phaseNames = [...]string{"none", "suspected", "stalled", "recovering"}

func (p phase) String() string { return phaseNames[p] }

// stopped reports whether short requests start only as probes.
func (p phase) stopped() bool { return p == suspected || p == stalled }

// confirmingProbes is how many unanswered probes confirm a stall when only few requests are stuck:
// two slow pages on a quiet day are no stall.
const confirmingProbes = 3

// maxProbeInterval is the longest time between two probes.
const maxProbeInterval = 30 * time.Second

type stallState struct {
	phase     phase
	suspicion uint64        // number of the current or last suspicion
	began     time.Duration // of the stall: when a short request last ended before it

	probes        int           // in flight
	sent          int           // since the suspicion began
	probedAt      time.Duration // when the last probe started
	probeInterval time.Duration // until the next probe, if that one does not end

	ramp int // while recovering: slots that may be in use

	lastEnd      time.Duration // when a short request last ended
	stoppedTotal time.Duration // total time of the suspicions and stalls before the current one
	count        uint64        // stalls
}

// Stall is a time during which the application answers no request.
type Stall struct {
	Began time.Time  // when it last answered
	Ended time.Time  // when it answered again; zero while the stall lasts
	Held  []InFlight // what was in flight when the stall was confirmed, the oldest first
}

// ageing returns the time by the clock that requests age by, which stops during a suspicion or
// stall.
func (g *Gate) ageing(now time.Duration) time.Duration {
	if g.stall.phase.stopped() {
		return g.stall.began - g.stall.stoppedTotal
	}
	return now - g.stall.stoppedTotal
}

// stallAfter returns the time without the end of a short request after which a stall is suspected.
func (g *Gate) stallAfter() time.Duration {
	return max(g.cfg.StallAfter, time.Duration(20*g.load.mean()*float64(time.Second)))
}

// enterPhase is the only place where the phase changes.
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

// checkStall changes the phase as time passes. Every tick calls it.
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

// stallConfirmed reports whether a suspicion is a stall: either stuck short requests hold most of
// the slots that long ones do not hold, and no slot is free for a probe or a probe is stuck, too;
// or enough probes are stuck.
func (g *Gate) stallConfirmed(now time.Duration) bool {
	s := &g.stall
	unanswered := s.probes > 0 && now-s.probedAt >= g.cfg.StallAfter
	most := 2*g.knownShort >= g.slots-g.longInUse
	return most && (unanswered || g.inUse >= g.slots) || unanswered && s.sent >= confirmingProbes
}

// ramp lets n more requests be in flight.
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

// mayProbe reports whether a probe may start.
func (g *Gate) mayProbe(now time.Duration) bool {
	return g.stall.probes == 0 || now-g.stall.probedAt >= g.stall.probeInterval
}

// probe notes that e starts as a probe.
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

// suspect begins a suspicion if requests of two clients are stuck: they have been in flight for
// long enough, and had not been so when the last short request ended. A stream is not stuck: its answer
// has begun.
func (g *Gate) suspect(now time.Duration) {
	s := &g.stall
	var clientKey *client
	clients, began := 0, now
	after := g.stallAfter()
	for _, c := range [...]*chain[entry]{&g.old, &g.young} {
		for l := c.head; l != nil; l = l.next {
			e := l.of
			if e.lane != Short || e.newRoute || e.streams || now-e.started < after || e.started < s.lastEnd-after {
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
	clock := s.began - s.stoppedTotal // the time since then does not age requests
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

// queueReport has OnStall called with s when the mutex is free.
func (g *Gate) queueReport(s Stall) {
	if g.onStall != nil {
		g.reports = append(g.reports, s)
	}
}

// deliverReports calls OnStall with each report in the queue.
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
