package pool

import "time"

// Limit bounds the connections to each instance for a while: others use the application, too, and
// share its workers out. It does not say that the application is full.
type Limit struct {
	Connections int       // at least 0; more than Config.Workers means Config.Workers
	Until       time.Time // when Then holds instead of Connections; zero: never
	Then        int
}

// limiter is the Limit that holds. It is guarded by the pool's mutex.
type limiter struct {
	Limit
	set bool
}

// at returns how many of n connections there may be at a time.
func (l *limiter) at(n int, now time.Time) int {
	switch {
	case !l.set:
		return n
	case !l.Until.IsZero() && !now.Before(l.Until):
		return min(n, l.Then)
	}
	return min(n, l.Connections)
}

// within returns how many of n connections there may be now.
func (l *limiter) within(n int) int {
	if !l.set {
		return n
	}
	return l.at(n, time.Now())
}

// SetLimit puts a Limit in force in place of the one before. No request is stopped: as with fewer
// Workers in Configure, idle connections that are too many are closed at once, and others when
// their requests end.
func (p *Pool) SetLimit(l Limit) {
	p.mu.Lock()
	defer p.unlock()
	p.limit.Limit, p.limit.set = l, true
	p.applyLimit()
	p.schedule(time.Now()) // waiters look again
}

// applyLimit has the instances follow the limit.
func (p *Pool) applyLimit() {
	for _, list := range [...][]*instance{p.instances, p.draining} {
		for _, in := range list {
			p.trim(in)
		}
	}
	p.recount()
}

// maintainLimit is applyLimit when the limit changes by itself.
func (p *Pool) maintainLimit(now time.Time) {
	l := &p.limit
	switch {
	case !l.set || l.Until.IsZero():
	case now.Before(l.Until):
		p.schedule(l.Until)
	default:
		l.Connections, l.Until = l.Then, time.Time{}
		p.applyLimit()
	}
}

// Connections is how many connections there are to the instance that has the most, those that are
// being made or closed included.
func (p *Pool) Connections() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, list := range [...][]*instance{p.instances, p.draining} {
		for _, in := range list {
			n = max(n, in.used())
		}
	}
	return n
}
