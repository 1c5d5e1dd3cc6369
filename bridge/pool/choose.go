package pool

import "time"

// choose returns the best instance for a request among those that qualify: one that can be
// connected to rather than one that is set aside, one that has room rather than one that
// was full lately, and of these the least loaded. Equals take turns: who uses the choice
// calls rotate.
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

// better reports whether in is to be chosen rather than best.
func (in *instance) better(best *instance, d Demand) bool {
	if a, b := in.trouble(d), best.trouble(d); a != b {
		return a < b
	}
	return in.lighter(best)
}

// trouble ranks what speaks against an instance. One that turns requests away has nothing to
// do, and would always be the least loaded.
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

// rotate gives the next turn to another instance. It is called only if a choice was used:
// otherwise each attempt would choose another instance, and dial although the one before
// has idle connections.
func (p *Pool) rotate() { p.nextStart = (p.nextStart + 1) % len(p.instances) }
