package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

// gatePolicy is the real gate.
type gatePolicy struct {
	s       *run
	cfg     admission.Config
	gate    *admission.Gate
	clock   *clock
	told    []*request // settled during the current call; acted on after it, without the gate's mutex
	checker checker
}

// gateRequest is what gatePolicy stores with a request.
type gateRequest struct {
	ticket   admission.Ticket
	err      error         // what the waiter was told
	done     bool          // the ticket was given back
	index    int           // in checker.inFlight
	probe    bool          // started during a stall
	slow     bool          // started in the lane Mixed or Long
	since    time.Duration // when it began to age
	notAging time.Duration // checker.notAging at that time
}

// waiter is the admission.Waiter of one attempt.
type waiter struct {
	p *gatePolicy
	r *request
	n int // how many times it was settled
}

// Settle implements admission.Waiter.
func (w *waiter) Settle(err error) {
	if w.n++; w.n > 1 {
		w.p.s.failf("a request is settled for the time %d", w.n)
		return
	}
	w.r.policy.err = err
	w.p.told = append(w.p.told, w.r)
}

func newGatePolicy(s *run) (policy, error) {
	p := &gatePolicy{s: s, clock: &clock{timeline: &s.timeline}}
	p.cfg = admission.Defaults(s.o.Workers)
	if s.o.Policy == GateFIFO {
		// Like its model, it refuses nobody, so that the two can be compared.
		p.cfg.Lanes = false
		p.cfg.Size, p.cfg.Timeout = 1<<30, time.Hour
	}
	p.cfg.Clock = p.clock
	p.cfg.OnStall = p.onStall
	if s.o.Scenario.Dip {
		p.cfg.Capacity = func() int { return s.capacityAt(s.now) }
	}
	if s.o.Adjust != nil {
		s.o.Adjust(&p.cfg)
	}
	gate, err := admission.New(p.cfg)
	if err != nil {
		return nil, err
	}
	p.gate = gate
	p.checker = newChecker(p)
	return p, nil
}

func (p *gatePolicy) bounded() bool { return true }

func (p *gatePolicy) enter(r *request) {
	r.policy = gateRequest{}
	if r.class == nested && !p.s.o.Scenario.Unowned {
		r.Peer = p
	}
	ticket, err := p.gate.Enter(&r.Request, &waiter{p: p, r: r})
	r.policy.ticket = ticket
	switch {
	case err != nil:
		p.refuse(r, err)
	case ticket.Granted():
		p.start(r)
	case r.class == nested && !p.s.o.Scenario.Unowned:
		p.s.after(lookTime, p.look, r)
	}
	p.settled()
}

// look finds out who has sent r, if r still waits, and with it who has sent the other waiting
// requests.
func (p *gatePolicy) look(r *request) {
	if r.state != waiting {
		return
	}
	for _, other := range p.checker.inFlight {
		if other.class == nested {
			other.policy.ticket.Nested(p.s.o.Scenario.depth() - other.nests)
		}
	}
	r.policy.ticket.Nested(p.s.o.Scenario.depth() - r.nests)
	p.settled()
}

// Waits implements admission.Peer; only Acquire calls it.
func (p *gatePolicy) Waits(admission.Ticket) {}

// settled acts on what the gate has settled during the last call.
func (p *gatePolicy) settled() {
	for len(p.told) > 0 {
		r := p.told[0]
		p.told = p.told[1:]
		if r.state != waiting {
			p.s.failf("P4: a request that does not wait is settled (state %d, %v)", r.state, r.policy.err)
			continue
		}
		if err := r.policy.err; err != nil {
			p.refuse(r, err)
			continue
		}
		if !r.policy.ticket.Granted() {
			p.s.failf("a request is told that it was granted and its ticket says it was not")
		}
		p.start(r)
	}
}

func (p *gatePolicy) start(r *request) {
	p.checker.starts(r)
	p.s.start(r)
}

func (p *gatePolicy) refuse(r *request, err error) {
	var refusal *admission.Refusal
	if !errors.As(err, &refusal) {
		p.s.failf("the gate refuses with %w", err)
		refusal = new(admission.Refusal)
	}
	p.checker.refuses(r, refusal)
	r.policy.done = true
	p.s.refuse(r, refusal.RetryAfter)
}

func (p *gatePolicy) leave(r *request) {
	p.release(r, admission.Ticket.Release)
}

func (p *gatePolicy) done(r *request) {
	p.checker.ends(r)
	if r.gone {
		p.release(r, admission.Ticket.Release)
	} else {
		p.release(r, admission.Ticket.Done)
	}
}

// release ends the ticket of r. Now and then it ends a ticket twice, to show that the second time
// has no effect.
func (p *gatePolicy) release(r *request, end func(admission.Ticket)) {
	if r.policy.done {
		p.s.failf("a ticket is given back twice")
	}
	r.policy.done = true
	end(r.policy.ticket)
	p.settled()
	if p.checker.again() {
		end(r.policy.ticket)
		r.policy.ticket.Done()
		r.policy.ticket.Streaming()
		if r.policy.ticket.Granted() {
			p.s.failf("a ticket that was given back is granted")
		}
	}
	p.settled()
}

func (p *gatePolicy) connected(r *request) {
	p.checker.ages(r)
	r.policy.ticket.At("application")
	p.settled()
}

func (p *gatePolicy) streaming(r *request) {
	r.policy.ticket.Streaming()
	p.settled()
}

func (p *gatePolicy) onStall(stall admission.Stall) { p.checker.stall(stall) }

func (p *gatePolicy) check() error {
	p.settled() // by a tick
	if err := p.checker.check(); err != nil {
		return err
	}
	if p.s.o.Check != nil {
		return p.s.o.Check(p.gate)
	}
	return nil
}

// finish closes the gate and lets a second pass, in which the gate's timer must end.
func (p *gatePolicy) finish() error {
	if err := p.compare(); err != nil {
		return err
	}
	if err := p.check(); err != nil {
		return err
	}
	p.gate.Close()
	for end := p.s.now + time.Second; p.s.now < end; {
		e := p.s.timeline.next()
		e.do(e.r)
	}
	if p.clock.timers > 0 {
		return fmt.Errorf("%d timers of the gate run on after Close", p.clock.timers)
	}
	return nil
}

// capacityAt returns the capacity of the application at a time: a quarter less in every third half
// minute if Scenario.Dip is set.
func (s *run) capacityAt(at time.Duration) int {
	if s.o.Scenario.Dip && at/(30*time.Second)%3 == 2 {
		return max(1, s.o.Workers*3/4)
	}
	return s.o.Workers
}
