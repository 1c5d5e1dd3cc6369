package sim

import "time"

// backend models the application: workers that serve one request each, a backlog of connections
// that are not accepted yet, connections that are kept for the next request, and one session whose
// requests wait for each other.
type backend struct {
	s       *run
	busy    int
	backlog []*request
	idle    []time.Duration // since when each kept connection has been unused, the oldest first

	locked bool
	locks  []*request // requests that hold a worker and wait for the session's lock
}

// backlogSize is Linux's default net.core.somaxconn.
const backlogSize = 4096

// connect sends a request to the application. It reports false if the backlog is full.
func (b *backend) connect(r *request) bool {
	if b.busy < b.s.o.Workers {
		b.serve(r)
		return true
	}
	if len(b.backlog) >= backlogSize {
		return false
	}
	b.backlog = append(b.backlog, r)
	return true
}

func (b *backend) serve(r *request) {
	b.busy++
	r.begun = b.s.now
	b.s.begun(r)
	if n := len(b.idle); n > 0 {
		b.idle = b.idle[:n-1] // the one used last, so that the others may close
		b.connected(r)
		return
	}
	b.s.after(b.progress(dialTime), b.connected, r)
}

func (b *backend) connected(r *request) {
	b.s.policy.connected(r)
	if r.class == lockBound {
		b.lock(r)
		return
	}
	b.work(r)
}

func (b *backend) work(r *request) {
	d := r.work
	if b.s.o.Scenario.Herd && r.class == poll {
		d = pollTime - b.s.now%pollTime
	}
	if r.nests > 0 {
		b.s.after(b.progress(d/2), b.nest, r)
		return
	}
	b.s.after(b.progress(d), b.end, r)
}

// nest makes r, in the middle of its work, send a request to its own site.
func (b *backend) nest(r *request) { b.s.arrive(b.s.newNested(r)) }

// resume does the other half of r's work.
func (b *backend) resume(r *request) { b.s.after(b.progress(r.work/2), b.end, r) }

// lock takes the session's lock for r, or makes r wait for it.
func (b *backend) lock(r *request) {
	if b.locked {
		b.locks = append(b.locks, r)
		return
	}
	b.locked = true
	b.work(r)
}

// progress returns how long d of work takes from now on. During a stall no work is done. The first
// stall is in the middle of its interval.
func (b *backend) progress(d time.Duration) time.Duration {
	every, long := b.s.o.Scenario.StallEvery, b.s.o.Scenario.Stall
	if every == 0 {
		return d
	}
	at := b.s.now
	for {
		// The interval that contains at begins with a stall.
		begin := every/2 + (at+every/2)/every*every - every
		if at < begin+long && begin > 0 {
			at = begin + long
		}
		if at+d <= begin+every {
			return at + d - b.s.now
		}
		d -= begin + every - at
		at = begin + every
	}
}

// stalled reports whether no work is done now.
func (b *backend) stalled() bool {
	every := b.s.o.Scenario.StallEvery
	return every > 0 && b.s.now >= every/2 && (b.s.now-every/2)%every < b.s.o.Scenario.Stall
}

func (b *backend) end(r *request) {
	b.busy--
	if r.class == lockBound {
		b.locked = false
		if len(b.locks) > 0 {
			next := b.locks[0]
			b.locks = b.locks[1:]
			b.lock(next)
		}
	}
	for len(b.idle) > 0 && b.s.now-b.idle[0] > idleTime {
		b.idle = b.idle[1:]
	}
	if r.kept {
		b.idle = append(b.idle, b.s.now)
	}
	if len(b.backlog) > 0 {
		next := b.backlog[0]
		b.backlog = b.backlog[1:]
		b.serve(next)
	}
	b.s.ended(r)
}
