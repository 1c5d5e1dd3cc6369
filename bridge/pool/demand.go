package pool

import (
	"context"
	"time"
)

// Demand says what a request needs of its connection. The zero value takes any connection
// that no other request uses.
type Demand struct {
	// Buffered: the request is sent in one write, with all of its body. Only such requests
	// share connections: a body that arrives in parts, or that the application does not
	// read, would stop the other requests.
	Buffered bool
	// Body: the request has a body. An application that multiplexes may stop reading the
	// connection until the body of one request is read (Go's net/http/fcgi does), so
	// requests with bodies share connections among themselves.
	Body bool
	// NoReplay: the request cannot be sent again. When a worker of PHP retires, it closes
	// its connection a moment after END_REQUEST, and on a busy machine another request may
	// be sent in that moment. So where applications close kept connections
	// (Config.ClosesIdle, or the pool has seen it), the request gets one that has been
	// quiet for noReplayQuiet.
	NoReplay bool
	// Fresh: the request was sent on a connection that the application had closed. It gets
	// a connection that is made after that.
	Fresh bool
	// Avoid is the address of an instance that turned the request away, if any. This
	// instance is the last choice.
	Avoid string

	// Loop is the event loop that waits for the answer, if one does. It drives a shared connection
	// that is made for the request; otherwise two goroutines do. Any request may share it.
	Loop Loop

	since time.Time // if Fresh: when the request came
}

// like reports whether a connection that serves one request serves the other.
func (d Demand) like(other Demand) bool {
	d.since, other.since, d.Loop, other.Loop = time.Time{}, time.Time{}, nil, nil
	return d == other
}

// takes reports whether the request can have c, which was given back just now.
func (d Demand) takes(c *conn) bool {
	return !d.Fresh && (!d.NoReplay || !c.inst.behaviour.closesIdle())
}

// takesIdle reports whether the request can have c, which is idle.
func (d Demand) takesIdle(c *conn) bool {
	return d.takes(c) || !d.Fresh && time.Since(c.idleSince) >= noReplayQuiet
}

// Lease returns a connection, kept or new, as soon as there is one for the request. Its
// error is the cause of ctx if that ends first, ErrWaitTimeout after Config.WaitTimeout, an
// *UnavailableError if no instance can be connected to, and ErrClosed after Close.
func (p *Pool) Lease(ctx context.Context, d Demand) (*Lease, error) {
	deadline := p.arrive(&d)
	for {
		p.mu.Lock()
		c, w, err := p.takeOrEnqueue(d)
		p.mu.Unlock()
		if w != nil {
			c, err = p.wait(ctx, w, deadline)
		}
		if err != nil {
			return nil, err
		}
		if l := p.lease(c, d); l != nil {
			return l, nil
		}
	}
}

// LeaseFunc is Lease without a goroutine that waits. It calls deliver once with what Lease
// returns: before LeaseFunc returns if that is known at once, else later and in another
// goroutine. Close waits for deliver to return.
func (p *Pool) LeaseFunc(ctx context.Context, d Demand, deliver func(*Lease, error)) {
	deadline := p.arrive(&d)
	p.leaseFunc(ctx, d, deadline, deliver)
}

// leaseFunc is the rest of LeaseFunc. A request that need not wait has nothing allocated but its lease:
// what waits is in functions of its own.
func (p *Pool) leaseFunc(ctx context.Context, d Demand, deadline time.Time, deliver func(*Lease, error)) {
	for {
		p.mu.Lock()
		c, w, err := p.takeOrEnqueue(d)
		if w != nil && !w.resolved {
			p.leaseWaiting(ctx, w, d, deadline, deliver)
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		if w != nil {
			c, err = p.collect(ctx, w)
		}
		switch {
		case err != nil:
			deliver(nil, err)
			return
		case w == nil && p.mustAwaitBack(c):
			p.leaseInTask(ctx, c, d, deadline, deliver)
			return
		}
		if l := p.lease(c, d); l != nil {
			deliver(l, nil)
			return
		}
	}
}

// leaseWaiting goes on when w is resolved. The caller holds the mutex.
func (p *Pool) leaseWaiting(ctx context.Context, w *waiter, d Demand, deadline time.Time, deliver func(*Lease, error)) {
	timer := time.AfterFunc(time.Until(deadline), func() { p.abandonWait(w, ErrWaitTimeout) })
	stop := afterEnd(ctx, func() { p.abandonWait(w, context.Cause(ctx)) })
	w.notify = func() {
		timer.Stop()
		stop()
		if c, err := p.collect(ctx, w); err != nil {
			deliver(nil, err)
		} else {
			p.leaseOf(ctx, c, d, deadline, deliver)
		}
	}
}

// leaseInTask goes on in a goroutine, because the process of c may have to be waited for.
func (p *Pool) leaseInTask(ctx context.Context, c *conn, d Demand, deadline time.Time, deliver func(*Lease, error)) {
	p.inTask(func() { p.leaseOf(ctx, c, d, deadline, deliver) })
}

// leaseOf delivers a lease of c, which the request has acquired, or begins anew.
func (p *Pool) leaseOf(ctx context.Context, c *conn, d Demand, deadline time.Time, deliver func(*Lease, error)) {
	if l := p.lease(c, d); l != nil {
		deliver(l, nil)
	} else {
		p.leaseFunc(ctx, d, deadline, deliver)
	}
}

// afterEnd is context.AfterFunc. A context that has the method itself needs none of that package for it.
func afterEnd(ctx context.Context, f func()) (stop func() bool) {
	if c, ok := ctx.(interface{ AfterFunc(func()) func() bool }); ok {
		return c.AfterFunc(f)
	}
	return context.AfterFunc(ctx, f)
}

// arrive notes when a request came, and returns until when it may wait.
func (p *Pool) arrive(d *Demand) (deadline time.Time) {
	now := time.Now()
	d.since = time.Time{}
	if d.Fresh {
		d.since = now
	}
	return now.Add(p.config().WaitTimeout)
}

// takeOrEnqueue gives a request a connection if there is one, and else enqueues it. The
// caller holds the mutex.
func (p *Pool) takeOrEnqueue(d Demand) (*conn, *waiter, error) {
	if p.closed {
		return nil, nil, ErrClosed
	}
	if c := p.take(d); c != nil {
		return c, nil, nil
	}
	return nil, p.enqueue(d), nil
}

// take gives a request a connection of the least loaded instance that has room or an idle
// connection. It returns nil if the request must be enqueued. The waiters have been offered
// all idle connections already (dispatchWaiters), so none is passed over.
func (p *Pool) take(d Demand) *conn {
	in := p.choose(d, func(in *instance) bool { return in.working() < in.most() })
	if in == nil {
		return nil
	}
	c := p.available(in, d)
	if c != nil {
		p.acquire(c, d)
		p.rotate()
	}
	return c
}

// available returns a connection that a request can have now: an idle connection rather
// than a shared one.
func (p *Pool) available(in *instance, d Demand) *conn {
	if c := in.kept(d); c != nil {
		return c
	}
	if p.sharing(in, d) {
		return in.joinable(d)
	}
	return nil
}

// kept returns an idle connection that a request can have to itself: the one that was used
// last or, where the application may be about to close that, the one that has been quiet
// for longest, if that is long enough.
func (in *instance) kept(d Demand) *conn {
	if d.Fresh {
		return nil
	}
	var oldest *conn
	for i := len(in.idle) - 1; i >= 0; i-- {
		c := in.idle[i]
		if c.mux != nil || c == in.keep.trialConn {
			continue
		}
		if d.takes(c) {
			return c
		}
		oldest = c
	}
	if oldest != nil && d.takesIdle(oldest) {
		return oldest
	}
	return nil
}

// lease makes a Lease of a connection that the request has acquired. If the connection
// turns out to be unusable, lease returns nil, and the connection is the pool's again.
func (p *Pool) lease(c *conn, d Demand) *Lease {
	switch {
	case c.mux != nil, c.uses == 1:
	case !p.isBack(c):
		p.releaseAtWork(c)
		return nil
	case c.isOverdue():
		p.discard(c, func(n *Counters) { n.Stale++ })
		return nil
	case !c.isKnownQuiet(d, p.config().Codec) && !c.usable():
		p.noteClosedIdle(c)
		p.discard(c, func(n *Counters) { n.Stale++ })
		return nil
	}
	l := &Lease{p: p, c: c, noKeepAlive: c.noKeepAlive}
	if c.mux != nil {
		s := c.mux.Open()
		l.ch, l.id, l.fresh = s, s.ID, s.First
		return l
	}
	c.reset()
	l.ch, l.id, l.fresh, l.base = c, c.id, c.uses == 1, c.in.Received()
	if l.fresh || d.NoReplay {
		p.mu.Lock()
		defer p.mu.Unlock()
		if l.fresh {
			l.guarded = !c.proved && p.mayTurnAway(c.inst, d)
		} else {
			l.guarded = !c.inst.behaviour.keptOpen
		}
	}
	return l
}
