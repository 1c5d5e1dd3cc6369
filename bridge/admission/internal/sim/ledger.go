package sim

import (
	"fmt"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

const (
	tick      = 50 * time.Millisecond // how often the gate looks at the time
	idleAfter = time.Second           // with nothing in flight for so long, a long request may start in any case

	longestSpacing = 30 * time.Second // of requests that find out whether a stall is over
)

// ledger holds the gate against what it promises, by what the run itself has seen:
//
//   - P1: no more is in flight than there are workers; see run.check.
//   - P2: in the mixed and long lanes a request starts only while fewer long ones
//     are in flight than LongCap, or when nothing has been in flight for a second. A
//     mixed one of a route that is short as a rule may take any slot but the last, and a
//     nested one any.
//   - P3: nobody waits longer than the timeout and a tick.
//   - P4: who left before the start is never started; see gatePolicy.settled.
//   - P5: a flow has no more in flight than its limit in the fast lanes, and as
//     many in the slow ones, but for nested requests and for what starts while slots
//     beyond the reserve are free.
//   - P6: during a stall one short request at a time may start, to find out if it is
//     over, and another after ever longer times. Then each request that ends lets
//     two more start, and each tick one.
//   - Every request is settled once, every ticket given back once, and at the end
//     nothing is left.
type ledger struct {
	p        *gatePolicy
	inFlight []*request // gateRequest.index is a request's place
	clients  map[uint64]*clientCounts
	endings  int // tickets given back

	stalled  bool
	probes   int           // in flight of those started during a stall
	probed   time.Duration // when the last of these was
	spacing  time.Duration // until the next one may, if that does not end
	ramp     int           // how many may be in flight after one, plus one for every tick; 0: all
	ended    time.Duration // when it ended
	lastEnd  time.Duration // of a request
	notAging time.Duration // how long the gate was stalled, stalls since the last end before included
	began    time.Duration
}

// clientCounts are what a flow that is one person has in flight.
type clientCounts struct{ fast, slow int }

func newLedger(p *gatePolicy) ledger {
	return ledger{p: p, clients: make(map[uint64]*clientCounts)}
}

// starts is told before r is started.
func (l *ledger) starts(r *request) {
	s, cfg := l.p.s, &l.p.cfg
	if in, now, before := len(l.inFlight), s.capacityAt(s.now), s.capacityAt(s.now-tick); in >= max(now, before) {
		s.failf("P1: a start with %d in flight, of %d", in, max(now, before))
	}
	lane := r.policy.ticket.Lane()
	if r.Long && cfg.Lanes && lane != admission.Long {
		s.failf("a declared long request is started in the %v lane", lane)
	}
	l.waited(r, lane)
	l.stalling(r, lane)
	r.policy.slow = lane >= admission.Mixed
	if r.policy.slow {
		idle := len(l.inFlight) == 0 && s.now-l.lastEnd >= idleAfter
		longInFlight, limit := l.longInFlight(), l.p.gate.Snapshot().LongCap
		if lane == admission.Mixed && (r.class == short || r.class == lockBound) {
			limit = max(limit, cfg.Workers-1)
		}
		if longInFlight >= limit && !idle && r.class != nested {
			s.failf("P2: a long request is started with %d long ones in flight, of %d", longInFlight, limit)
		}
	}
	r.policy.index = len(l.inFlight)
	l.ages(r)
	l.inFlight = append(l.inFlight, r)
	if n := l.clientInFlight(r); n != nil {
		borrows := len(l.inFlight) <= cfg.Workers-cfg.Reserve
		if *n++; *n > cfg.ClientLimit && !borrows && r.class != nested {
			s.failf("P5: flow %x has %d in flight in the %v lane or its like, of %d", r.ClientKey, *n, lane, cfg.ClientLimit)
		}
	}
}

// stalling checks P6.
func (l *ledger) stalling(r *request, lane admission.Lane) {
	s, now := l.p.s, l.p.s.now
	if in := len(l.inFlight); l.ramp > 0 && in >= l.ramp+int((now-l.ended)/tick)+1 {
		s.failf("P6: a start with %d in flight, of %d so soon after a stall", in, l.ramp)
	}
	if !l.stalled {
		return
	}
	if lane >= admission.Mixed {
		s.failf("P6: a start in the %v lane during a stall", lane)
	}
	if l.probes > 0 && now-l.probed < l.spacing {
		s.failf("P6: a start during a stall %v after another, want %v", now-l.probed, l.spacing)
	}
	r.policy.probe = true
	l.probes++
	l.probed, l.spacing = now, min(2*l.spacing, longestSpacing)
}

// ages is told when r begins to age.
func (l *ledger) ages(r *request) {
	r.policy.since, r.policy.notAging = l.p.s.now, l.notAging
}

// ends is told before r's ticket is given back.
func (l *ledger) ends(r *request) {
	last := len(l.inFlight) - 1
	moved := l.inFlight[last]
	l.inFlight[r.policy.index], moved.policy.index = moved, r.policy.index
	l.inFlight = l.inFlight[:last]
	l.lastEnd = l.p.s.now
	if r.policy.probe {
		l.probes--
	}
	if l.ramp > 0 {
		if l.ramp += 2; l.ramp >= l.p.cfg.Workers {
			l.ramp = 0
		}
	}
	if n := l.clientInFlight(r); n != nil {
		*n--
	}
}

func (l *ledger) refuses(r *request, refusal *admission.Refusal) {
	l.waited(r, refusal.Lane)
	if refusal.RetryAfter <= 0 {
		l.p.s.failf("a refusal says to come back after %v", refusal.RetryAfter)
	}
	if refusal.Reason == admission.TimedOut && l.p.s.now-r.at < l.timeout(refusal.Lane)*9/10 {
		l.p.s.failf("timed out after %v", l.p.s.now-r.at)
	}
}

// waited checks P3. What was taken for long for a while may have waited as long as
// such may, though it is not any more.
func (l *ledger) waited(r *request, lane admission.Lane) {
	most := l.timeout(lane) + tick
	if !l.p.s.o.allTold() {
		most = max(most, l.p.cfg.LongTimeout+tick)
	}
	if waited := l.p.s.now - r.at; waited > most {
		l.p.s.failf("P3: a wait of %v in the %v lane, of %v", waited, lane, most)
	}
}

func (l *ledger) timeout(lane admission.Lane) time.Duration {
	if l.p.cfg.Lanes && lane >= admission.Mixed {
		return l.p.cfg.LongTimeout
	}
	return l.p.cfg.Timeout
}

// longInFlight is how many in flight the gate must count as long: those declared, and those
// that have aged beyond doubt.
func (l *ledger) longInFlight() int {
	n := 0
	for _, r := range l.inFlight {
		age := l.p.s.now - r.policy.since - (l.notAging - r.policy.notAging)
		if r.Long || r.policy.slow || age > l.p.cfg.LongAfter+tick && !l.stalled {
			n++
		}
	}
	return n
}

// flow returns how many of r's flow are in flight, in the fast lanes or in the slow
// ones; nil if it has no limit.
func (l *ledger) clientInFlight(r *request) *int {
	if r.ClientKey == 0 || r.Shared || !l.p.cfg.Lanes {
		return nil
	}
	f := l.clients[r.ClientKey]
	if f == nil {
		f = new(clientCounts)
		l.clients[r.ClientKey] = f
	}
	if r.policy.slow {
		return &f.slow
	}
	return &f.fast
}

// again is true now and then: such a ticket is given back a second time.
func (l *ledger) again() bool {
	l.endings++
	return l.endings%64 == 0
}

func (l *ledger) stall(stall admission.Stall) {
	s := l.p.s
	if begins := stall.Ended.IsZero(); begins == l.stalled {
		s.failf("a stall begins or ends twice")
	}
	l.ramp = 0
	l.spacing = 2 * l.p.cfg.StallAfter
	if l.stalled = stall.Ended.IsZero(); l.stalled {
		s.books.stalls++
		l.began = min(l.lastEnd, s.now)
		if len(stall.Held) != len(l.inFlight) {
			s.failf("a report of %d in flight, %d are", len(stall.Held), len(l.inFlight))
		}
		return
	}
	l.notAging += s.now - l.began
	l.probes = 0
	l.ramp, l.ended = len(l.inFlight)+2, s.now
	for _, r := range l.inFlight {
		r.policy.probe = false
	}
}

func (l *ledger) check() error {
	if in := len(l.inFlight); in != l.p.s.books.inFlight() || in > l.p.cfg.Workers {
		return fmt.Errorf("P1: %d in flight, %d by the ledger, of %d", l.p.s.books.inFlight(), in, l.p.cfg.Workers)
	}
	return nil
}

// compare holds the gate's own account against the run's.
func (p *gatePolicy) compare() error {
	snapshot := p.gate.Snapshot()
	if in := p.s.books.inFlight(); snapshot.InUse != in {
		return fmt.Errorf("the gate says %d in use, it is %d", snapshot.InUse, in)
	}
	if n := p.s.books.queued(); snapshot.Waiting != n {
		return fmt.Errorf("the gate says %d wait, it is %d", snapshot.Waiting, n)
	}
	return nil
}

func (p *gatePolicy) trace(sec *Second) {
	snapshot := p.gate.Snapshot()
	sec.LongInUse, sec.Cap = snapshot.Long, snapshot.LongCap
	sec.Gate = snapshot.Stall.State
	for _, name := range []string{"short", "unknown", "mixed", "long"} {
		l := snapshot.Lanes[name]
		sec.Gate += fmt.Sprintf(" %s %d+%d", name, l.InFlight, l.Waiting)
		if l.Aged > 0 {
			sec.Gate += fmt.Sprintf(" (%d aged)", l.Aged)
		}
	}
}
