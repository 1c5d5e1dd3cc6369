package pool

import "time"

// choose returns the best instance that qualifies for a request: one that could be
// connected to before one that could not, one that has room before one that lately
// said it had none, and of those the least loaded. Ties go round: who uses the choice
// calls nextTurn.
func (p *Pool) choose(d Demand, qualifies func(*instance) bool) *instance {
	if len(p.instances) == 1 {
		if in := p.instances[0]; qualifies(in) {
			return in
		}
		return nil
	}
	var best *instance
	for i := range p.instances {
		in := p.instances[(p.nextStart+i)%len(p.instances)]
		if qualifies(in) && (best == nil || in.better(best, d)) {
			best = in
		}
	}
	return best
}

// better reports whether in is to be chosen before best.
func (in *instance) better(best *instance, d Demand) bool {
	if a, b := in.trouble(d), best.trouble(d); a != b {
		return a < b
	}
	return in.lighter(best)
}

// trouble ranks what speaks against an instance. One that turns everything away has
// nothing to do, and would be the least loaded for ever.
func (in *instance) trouble(d Demand) int {
	switch {
	case in.outage.aside():
		return 3
	case d.Avoid == in.Addr:
		return 2
	case in.observed.fullAt.After(in.served) && time.Since(in.observed.fullAt) < growEvery:
		return 1
	}
	return 0
}

// nextTurn lets the next tie go to another instance. A choice that came to
// nothing must not: the one after it would be a different one each time, and
// idle connections elsewhere would be dialled past.
func (p *Pool) rotate() { p.nextStart = (p.nextStart + 1) % len(p.instances) }
