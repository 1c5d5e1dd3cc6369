package pool

// choose returns the least loaded instance that qualifies, one that could be
// connected to before one that could not. Ties go round: who uses the choice
// calls nextTurn.
func (p *Pool) choose(qualifies func(*instance) bool) *instance {
	if len(p.instances) == 1 {
		if in := p.instances[0]; qualifies(in) {
			return in
		}
		return nil
	}
	var best *instance
	for i := range p.instances {
		in := p.instances[(p.turn+i)%len(p.instances)]
		if qualifies(in) && (best == nil || p.better(in, best)) {
			best = in
		}
	}
	return best
}

func (p *Pool) better(in, best *instance) bool {
	if aside := in.outage.aside(); aside != best.outage.aside() {
		return !aside
	}
	return in.lighter(best)
}

// nextTurn lets the next tie go to another instance. A choice that came to
// nothing must not: the one after it would be a different one each time, and
// idle connections elsewhere would be dialled past.
func (p *Pool) nextTurn() { p.turn = (p.turn + 1) % len(p.instances) }
