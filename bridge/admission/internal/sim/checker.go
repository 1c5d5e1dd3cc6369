package sim

import (
	"fmt"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

const (
	tick      = 50 * time.Millisecond // how often the gate looks at the time
	idleAfter = time.Second           // after so long with nothing in flight, a long request may always start

	maxProbeInterval = 30 * time.Second // the longest time between probes
)

// checker compares what the gate does with what it promises, by what the run itself has seen:
//
//   - P1: no more requests are in flight than there are workers; see run.check.
//   - P2: a request starts in the lane Mixed or Long only while fewer long requests are in flight
//     than LongCap, or when nothing has been in flight for a second. A mixed request of a route
//     that is usually short may take any slot but the last, and a nested one any slot.
//   - P3: no request waits longer than its timeout and a tick.
//   - P4: a request whose client left before the start is never started; see gatePolicy.settled.
//   - P5: a client has at most its limit in flight in the lanes Short and Unknown, and as many in
//     the others, not counting nested requests and requests that start while slots beyond the
//     reserve are free.
//   - P6: during a stall one short request at a time may start as a probe, and the next after ever
//     longer times. Afterwards, each request that ends lets two more start, and each tick one.
//   - Every request is settled once, every ticket is given back once, and at the end nothing is
//     left.
type checker struct {
	p        *gatePolicy
	inFlight []*request // gateRequest.index is the index here
	clients  map[uint64]*clientCounts
	endings  int // tickets given back

	stalled       bool
	probes        int           // in flight, started during a stall
	probed        time.Duration // when the last probe started
	probeInterval time.Duration // until the next probe, if that one does not end
	ramp          int           // requests that may be in flight after a stall, plus one for every tick; 0: all
	ended         time.Duration // when the stall ended
	lastEnd       time.Duration // when a request last ended
	notAging      time.Duration // how long the gate was stalled, from the last end before each stall on
	began         time.Duration
}

// clientCounts is what a client that is not shared has in flight.
type clientCounts struct{ fast, slow int }

func newChecker(p *gatePolicy) checker {
	return checker{p: p, clients: make(map[uint64]*clientCounts)}
}

// starts is called before r is started.
func (c *checker) starts(r *request) {
	s, cfg := c.p.s, &c.p.cfg
	if in, now, before := len(c.inFlight), s.capacityAt(s.now), s.capacityAt(s.now-tick); in >= max(now, before) {
		s.failf("P1: a start with %d in flight, of %d", in, max(now, before))
	}
	lane := r.policy.ticket.Lane()
	if r.Long && cfg.Lanes && lane != admission.Long {
		s.failf("a declared long request is started in the %v lane", lane)
	}
	c.waited(r, lane)
	c.stalling(r, lane)
	r.policy.slow = lane >= admission.Mixed
	if r.policy.slow {
		idle := len(c.inFlight) == 0 && s.now-c.lastEnd >= idleAfter
		longInFlight, limit := c.longInFlight(), c.p.gate.Snapshot().LongCap
		if lane == admission.Mixed && (r.class == short || r.class == lockBound) {
			limit = max(limit, cfg.Workers-1)
		}
		if longInFlight >= limit && !idle && r.class != nested {
			s.failf("P2: a long request is started with %d long ones in flight, of %d", longInFlight, limit)
		}
	}
	r.policy.index = len(c.inFlight)
	c.ages(r)
	c.inFlight = append(c.inFlight, r)
	if n := c.clientInFlight(r); n != nil {
		borrows := len(c.inFlight) <= cfg.Workers-cfg.Reserve
		if *n++; *n > cfg.ClientLimit && !borrows && r.class != nested {
			s.failf("P5: client %x has %d in flight in the %v lane or its like, of %d", r.ClientKey, *n, lane, cfg.ClientLimit)
		}
	}
}

// stalling checks P6.
func (c *checker) stalling(r *request, lane admission.Lane) {
	s, now := c.p.s, c.p.s.now
	if in := len(c.inFlight); c.ramp > 0 && in >= c.ramp+int((now-c.ended)/tick)+1 {
		s.failf("P6: a start with %d in flight, of %d so soon after a stall", in, c.ramp)
	}
	if !c.stalled {
		return
	}
	if lane >= admission.Mixed {
		s.failf("P6: a start in the %v lane during a stall", lane)
	}
	if c.probes > 0 && now-c.probed < c.probeInterval {
		s.failf("P6: a start during a stall %v after another, want %v", now-c.probed, c.probeInterval)
	}
	r.policy.probe = true
	c.probes++
	c.probed, c.probeInterval = now, min(2*c.probeInterval, maxProbeInterval)
}

// ages is called when r begins to age.
func (c *checker) ages(r *request) {
	r.policy.since, r.policy.notAging = c.p.s.now, c.notAging
}

// ends is called before r's ticket is given back.
func (c *checker) ends(r *request) {
	last := len(c.inFlight) - 1
	moved := c.inFlight[last]
	c.inFlight[r.policy.index], moved.policy.index = moved, r.policy.index
	c.inFlight = c.inFlight[:last]
	c.lastEnd = c.p.s.now
	if r.policy.probe {
		c.probes--
	}
	if c.ramp > 0 {
		if c.ramp += 2; c.ramp >= c.p.cfg.Workers {
			c.ramp = 0
		}
	}
	if n := c.clientInFlight(r); n != nil {
		*n--
	}
}

func (c *checker) refuses(r *request, refusal *admission.Refusal) {
	c.waited(r, refusal.Lane)
	if refusal.RetryAfter <= 0 {
		c.p.s.failf("a refusal says to come back after %v", refusal.RetryAfter)
	}
	if refusal.Reason == admission.TimedOut && c.p.s.now-r.at < c.timeout(refusal.Lane)*9/10 {
		c.p.s.failf("timed out after %v", c.p.s.now-r.at)
	}
}

// waited checks P3. A request that was taken for long for some time may have waited for as long as
// a long one, in whatever lane it is now.
func (c *checker) waited(r *request, lane admission.Lane) {
	most := c.timeout(lane) + tick
	if !c.p.s.o.allTold() {
		most = max(most, c.p.cfg.LongTimeout+tick)
	}
	if waited := c.p.s.now - r.at; waited > most {
		c.p.s.failf("P3: a wait of %v in the %v lane, of %v", waited, lane, most)
	}
}

func (c *checker) timeout(lane admission.Lane) time.Duration {
	if c.p.cfg.Lanes && lane >= admission.Mixed {
		return c.p.cfg.LongTimeout
	}
	return c.p.cfg.Timeout
}

// longInFlight returns how many requests in flight the gate must count as long: those that are
// declared, and those that have aged beyond doubt.
func (c *checker) longInFlight() int {
	n := 0
	for _, r := range c.inFlight {
		age := c.p.s.now - r.policy.since - (c.notAging - r.policy.notAging)
		if r.Long || r.policy.slow || age > c.p.cfg.LongAfter+tick && !c.stalled {
			n++
		}
	}
	return n
}

// clientInFlight returns how many requests of r's client are in flight in the lanes Short and
// Unknown, or in the others. It returns nil if the client has no limit.
func (c *checker) clientInFlight(r *request) *int {
	if r.ClientKey == 0 || r.Shared || !c.p.cfg.Lanes {
		return nil
	}
	f := c.clients[r.ClientKey]
	if f == nil {
		f = new(clientCounts)
		c.clients[r.ClientKey] = f
	}
	if r.policy.slow {
		return &f.slow
	}
	return &f.fast
}

// again reports whether a ticket is to be given back twice: every 64th.
func (c *checker) again() bool {
	c.endings++
	return c.endings%64 == 0
}

func (c *checker) stall(stall admission.Stall) {
	s := c.p.s
	if begins := stall.Ended.IsZero(); begins == c.stalled {
		s.failf("a stall begins or ends twice")
	}
	c.ramp = 0
	c.probeInterval = 2 * c.p.cfg.StallAfter
	if c.stalled = stall.Ended.IsZero(); c.stalled {
		s.stats.stalls++
		c.began = min(c.lastEnd, s.now)
		if len(stall.Held) != len(c.inFlight) {
			s.failf("a report of %d in flight, %d are", len(stall.Held), len(c.inFlight))
		}
		return
	}
	c.notAging += s.now - c.began
	c.probes = 0
	c.ramp, c.ended = len(c.inFlight)+2, s.now
	for _, r := range c.inFlight {
		r.policy.probe = false
	}
}

func (c *checker) check() error {
	if in := len(c.inFlight); in != c.p.s.stats.inFlight() || in > c.p.cfg.Workers {
		return fmt.Errorf("P1: %d in flight, %d by the checker, of %d", c.p.s.stats.inFlight(), in, c.p.cfg.Workers)
	}
	return nil
}

// compare compares the gate's counts with the run's.
func (p *gatePolicy) compare() error {
	snapshot := p.gate.Snapshot()
	if in := p.s.stats.inFlight(); snapshot.InUse != in {
		return fmt.Errorf("the gate says %d in use, it is %d", snapshot.InUse, in)
	}
	if n := p.s.stats.queued(); snapshot.Waiting != n {
		return fmt.Errorf("the gate says %d wait, it is %d", snapshot.Waiting, n)
	}
	return nil
}

func (p *gatePolicy) trace(sec *Second) {
	snapshot := p.gate.Snapshot()
	sec.LongInUse, sec.Cap = snapshot.Long, snapshot.LongCap
	sec.Gate = snapshot.Stall.State
	for _, name := range []string{"short", "unknown", "mixed", "long"} {
		c := snapshot.Lanes[name]
		sec.Gate += fmt.Sprintf(" %s %d+%d", name, c.InFlight, c.Waiting)
		if c.Aged > 0 {
			sec.Gate += fmt.Sprintf(" (%d aged)", c.Aged)
		}
	}
}
