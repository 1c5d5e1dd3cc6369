package admission

import "time"

// stallState is what is known of stalls. A stall is suspected when requests of two
// flows, for routes that are known to be short, are in flight, none has ended for a time, and others want to start.
// Then one request at a time may start, to find out. A stall is certain, and
// reported, when that has not ended for as long, or when there is no slot left to
// find out with and half of them are stuck.
type stallState struct {
	on      bool
	certain bool
	began   time.Duration // when the last short request ended
	stuck   int           // short requests in flight when it was suspected
	probe   *entry        // the request that may start while it lasts; nil: none is in flight
	ramp    int           // slots in use at most, afterwards; 0: all

	last  time.Duration // when a short request ended the last time
	total time.Duration // how long stalls have lasted in all, but for the one going on
	count uint64        // of certain ones
}

// Stall is a time in which the application answered nobody.
type Stall struct {
	Began time.Time  // when it answered last
	Ended time.Time  // when it answered again; zero: it has not
	Held  []InFlight // what was in flight when the stall was certain, the oldest first
}

// InFlight is a request that holds a slot.
type InFlight struct {
	Method   string        `json:"method"`
	Path     string        `json:"path"`
	Instance string        `json:"instance,omitempty"`
	Flow     uint64        `json:"-"`
	Lane     Lane          `json:"lane"`
	Age      time.Duration `json:"age_ns"`
}

// ageing is the clock that requests age by: it stands still in a stall.
func (g *Gate) ageing(now time.Duration) time.Duration {
	if g.stall.on {
		return g.stall.began - g.stall.total
	}
	return now - g.stall.total
}

// stallAfter is how long no short request must end.
func (g *Gate) stallAfter() time.Duration {
	return max(g.cfg.StallAfter, time.Duration(20*g.load.mean()*float64(time.Second)))
}

// watch looks for the begin of a stall, and makes sure of it.
func (g *Gate) watch(now time.Duration) {
	s := &g.stall
	if !s.on && g.shorts >= 2 && now-s.last >= g.stallAfter() {
		g.suspect(now)
	}
	if !s.on || s.certain {
		return
	}
	if probed := s.probe != nil && now-s.probe.started >= g.cfg.StallAfter; probed || g.in >= g.w && 2*s.stuck >= g.w {
		s.certain = true
		s.count++
		g.tell(Stall{Began: g.epoch.Add(s.began), Held: g.inFlight(now)})
	}
}

// suspect begins a stall if short requests of two flows are stuck: in flight for
// long enough, and not for long already when the last one ended.
func (g *Gate) suspect(now time.Duration) {
	var flow *flow
	stuck, flows, began := 0, 0, now
	after := g.stallAfter()
	for _, c := range [...]*chain[entry]{&g.old, &g.young} {
		for l := c.head; l != nil; l = l.next {
			e := l.of
			if e.lane != Short || e.newcomer || now-e.started < after || e.started < g.stall.last-after {
				continue
			}
			stuck++
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
	s := &g.stall
	age := g.ageing(now)
	s.on, s.certain, s.stuck, s.probe, s.ramp = true, false, stuck, nil, 0
	s.began = max(began, s.last)
	// The time since then does not count as age.
	back := age - g.ageing(now)
	for l := g.young.head; l != nil; l = l.next {
		l.of.age0 = min(l.of.age0, age-back)
	}
	for l := g.old.tail; l != nil; {
		e, prev := l.of, l.prev
		e.age0 = min(e.age0, age-back)
		if e.aged && !e.streams && age-back-e.age0 < g.cfg.LongAfter {
			g.rejuvenate(e, now)
		}
		l = prev
	}
}

// progress notes that a short request has ended, and with it a stall.
func (g *Gate) progress(now time.Duration) {
	s := &g.stall
	s.last = now
	switch {
	case s.on:
		s.total += now - s.began
		s.on, s.probe = false, nil
		g.load.forget(now)
		if s.certain {
			g.tell(Stall{Began: g.epoch.Add(s.began), Ended: g.epoch.Add(now)})
			s.ramp = g.in + 2
		}
	case s.ramp > 0:
		s.ramp += 2
	}
	if s.ramp >= g.w {
		s.ramp = 0
	}
}

func (g *Gate) inFlight(now time.Duration) []InFlight {
	held := make([]InFlight, 0, g.in)
	for _, c := range [...]*chain[entry]{&g.old, &g.young} {
		for l := c.head; l != nil; l = l.next {
			e := l.of
			held = append(held, InFlight{e.method, e.path, e.instance, e.flow.key, e.lane, now - e.started})
		}
	}
	return held
}

// tell has OnStall called, when the mutex is free again.
func (g *Gate) tell(s Stall) {
	if g.cfg.OnStall != nil {
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
		g.cfg.OnStall(s)
	}
}
