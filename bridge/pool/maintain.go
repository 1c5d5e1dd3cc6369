package pool

import "time"

// schedule has tend run at a time, or earlier.
func (p *Pool) schedule(at time.Time) {
	if p.closed || !p.due.IsZero() && !at.Before(p.due) {
		return
	}
	p.due = at
	p.maintenance.Reset(time.Until(at))
}

// startTending is what the timer does.
func (p *Pool) startMaintenance() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.tasks.Go(p.maintain)
	}
}

// tend does what is due: it closes connections that have been idle for too long,
// lets instances grow, tries those that were set aside, and looks at accept queues.
func (p *Pool) maintain() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.due = time.Time{}
	now := time.Now()
	var toClose []*conn
	for _, in := range p.instances {
		toClose = append(toClose, p.evictExpired(in, now)...)
		p.grow(in, now)
		p.probe(in, now)
		toClose = append(toClose, p.maintainKeep(in, now)...)
		toClose = append(toClose, p.checkQueue(in, now)...)
	}
	toClose = append(toClose, p.dispatchWaiters()...)
	p.mu.Unlock()
	p.closeAll(toClose)
}

// reap takes out the connections that have been idle for too long.
func (p *Pool) evictExpired(in *instance, now time.Time) (toClose []*conn) {
	for len(in.idle) > 0 {
		end := in.idle[0].idleSince.Add(p.config().IdleTimeout)
		if now.Before(end) {
			p.schedule(end)
			break
		}
		toClose = append(toClose, p.evictOldest(in))
	}
	return toClose
}
