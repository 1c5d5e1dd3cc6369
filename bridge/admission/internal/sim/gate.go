package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

// gatePolicy is the real gate.
type gatePolicy struct {
	s      *run
	cfg    admission.Config
	gate   *admission.Gate
	clock  *clock
	told   []*request // were settled in the call under way: not to be acted on under the gate's mutex
	ledger ledger
}

// gateRequest is what the gate's policy keeps of a request.
type gateRequest struct {
	ticket   admission.Ticket
	err      error         // what the waiter was told
	done     bool          // the ticket was given back
	index    int           // in ledger.inFlight
	probe    bool          // was started during a stall
	slow     bool          // was started in the mixed or the long lane
	since    time.Duration // when it began to age
	notAging time.Duration // ledger.notAging then
}

// waiter is the gate's word on one attempt.
type waiter struct {
	p *gatePolicy
	r *request
	n int // settled
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
		// As the model of it: nobody is refused, so that the two can be compared.
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
	p.ledger = newLedger(p)
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

// look finds out whose r is, if it still waits, and whose the others are at the same time.
func (p *gatePolicy) look(r *request) {
	if r.state != waiting {
		return
	}
	for _, other := range p.ledger.inFlight {
		if other.class == nested {
			other.policy.ticket.Nested(p.s.o.Scenario.depth() - other.nests)
		}
	}
	r.policy.ticket.Nested(p.s.o.Scenario.depth() - r.nests)
	p.settled()
}

// Waits implements admission.Peer; only Acquire calls it.
func (p *gatePolicy) Waits(admission.Ticket) {}

// settled acts on what the gate has said during the last call.
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
	p.ledger.starts(r)
	p.s.start(r)
}

func (p *gatePolicy) refuse(r *request, err error) {
	var refusal *admission.Refusal
	if !errors.As(err, &refusal) {
		p.s.failf("the gate refuses with %w", err)
		refusal = new(admission.Refusal)
	}
	p.ledger.refuses(r, refusal)
	r.policy.done = true
	p.s.refuse(r, refusal.RetryAfter)
}

func (p *gatePolicy) leave(r *request) {
	p.giveBack(r, admission.Ticket.Release)
}

func (p *gatePolicy) done(r *request) {
	p.ledger.ends(r)
	if r.gone {
		p.giveBack(r, admission.Ticket.Release)
	} else {
		p.giveBack(r, admission.Ticket.Done)
	}
}

// giveBack ends the ticket, and shows that a second end of it does nothing.
func (p *gatePolicy) giveBack(r *request, end func(admission.Ticket)) {
	if r.policy.done {
		p.s.failf("a ticket is given back twice")
	}
	r.policy.done = true
	end(r.policy.ticket)
	p.settled()
	if p.ledger.again() {
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
	p.ledger.ages(r)
	r.policy.ticket.At("application")
	p.settled()
}

func (p *gatePolicy) streaming(r *request) {
	r.policy.ticket.Streaming()
	p.settled()
}

func (p *gatePolicy) onStall(stall admission.Stall) { p.ledger.stall(stall) }

func (p *gatePolicy) check() error {
	p.settled() // what a tick has done
	if err := p.ledger.check(); err != nil {
		return err
	}
	if p.s.o.Check != nil {
		return p.s.o.Check(p.gate)
	}
	return nil
}

// finish closes the gate and lets a second pass, in which its timer must end.
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

// capacityAt is what the application holds then: a quarter less for every third half
// minute of Scenario.Dip.
func (s *run) capacityAt(at time.Duration) int {
	if s.o.Scenario.Dip && at/(30*time.Second)%3 == 2 {
		return max(1, s.o.Workers*3/4)
	}
	return s.o.Workers
}
