package pool

import "time"

// schedule has tend run at a time, or earlier.
func (p *Pool) schedule(at time.Time) {
	if p.closed || !p.due.IsZero() && !at.Before(p.due) {
		return
	}
	p.due = at
	p.tender.Reset(time.Until(at))
}

// startTending is what the timer does.
func (p *Pool) startTending() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.tasks.Go(p.tend)
	}
}

// tend does what is due: it closes connections that have been idle for too long,
// lets instances grow, tries those that were set aside, and looks at accept queues.
func (p *Pool) tend() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.due = time.Time{}
	now := time.Now()
	var victims []*conn
	for _, in := range p.instances {
		victims = append(victims, p.reap(in, now)...)
		p.grow(in, now)
		p.probe(in, now)
		victims = append(victims, p.tendKept(in, now)...)
		victims = append(victims, p.glance(in, now)...)
	}
	victims = append(victims, p.kick()...)
	p.mu.Unlock()
	p.closeAll(victims)
}

// reap takes out the connections that have been idle for too long.
func (p *Pool) reap(in *instance, now time.Time) (victims []*conn) {
	for len(in.idle) > 0 {
		end := in.idle[0].idleSince.Add(p.config().IdleTimeout)
		if now.Before(end) {
			p.schedule(end)
			break
		}
		victims = append(victims, p.evict(in))
	}
	return victims
}
