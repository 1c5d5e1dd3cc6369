package pool

import "time"

// schedule has maintain run at a time, or earlier.
func (p *Pool) schedule(at time.Time) {
	if p.closed || !p.due.IsZero() && !at.Before(p.due) {
		return
	}
	p.due = at
	p.maintenance.Reset(time.Until(at))
}

// startMaintenance is what the timer calls.
func (p *Pool) startMaintenance() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.tasks.Go(p.maintain)
	}
}

// maintain does what is due for each instance. What is not due yet is scheduled again.
func (p *Pool) maintain() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.due = time.Time{}
	now := time.Now()
	p.maintainLimit(now)
	for _, in := range p.instances {
		p.evictExpired(in, now)
		p.grow(in, now)
		p.probe(in, now)
		p.maintainKeep(in, now)
		p.checkQueue(in, now)
	}
	p.dispatchWaiters()
	p.unlock()
}

// evictExpired evicts the connections that have been idle for IdleTimeout.
func (p *Pool) evictExpired(in *instance, now time.Time) {
	for len(in.idle) > 0 {
		end := in.idle[0].idleSince.Add(p.config().IdleTimeout)
		if now.Before(end) {
			p.schedule(end)
			return
		}
		p.evictOldest(in)
	}
}
