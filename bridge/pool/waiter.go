package pool

import (
	"container/list"
	"context"
	"slices"
	"time"
)

// waiter is a request that waits for a connection. It belongs to the pool's mutex until it
// is resolved. Conn and err do not change after that.
type waiter struct {
	demand   Demand
	done     chan struct{} // closed when it is resolved
	notify   func()        // called in a goroutine of its own when it is resolved; nil: nothing is called
	resolved bool          // it has a connection, or an error
	conn     *conn
	err      error

	elem    *list.Element
	dial    *dial      // the dial on its behalf; nil: there is none
	movedAt time.Time  // when it left a full instance for another
	full    []fullness // of the instances that turned it away lately
	failed  []*DialError
}

// fullness notes that an instance has turned a connection away although it is believed to
// hold more. Until a time it counts as full with as many connections as it had then.
type fullness struct {
	in    *instance
	conns int
	until time.Time
}

// established is how many connections to in there are, without those that are being dialled.
func (in *instance) established() int { return in.used() - in.count[dialing] }

// noteFull notes that in has turned w away.
func (w *waiter) noteFull(in *instance) {
	now := time.Now()
	w.full = slices.DeleteFunc(w.full, func(f fullness) bool { return f.in == in || !now.Before(f.until) })
	w.full = append(w.full, fullness{in, in.established(), now.Add(dialPauseMax)})
}

// roomFor reports whether another connection to in may be dialled for w.
func (in *instance) roomFor(w *waiter) bool {
	return in.room() && !slices.ContainsFunc(w.full, func(f fullness) bool {
		return f.in == in && in.established() >= f.conns && time.Now().Before(f.until)
	})
}

// enqueue adds a waiter and starts what can be started for it. The caller holds
// the mutex and calls wait next.
func (p *Pool) enqueue(d Demand) *waiter {
	w := &waiter{demand: d, done: make(chan struct{})}
	w.elem = p.waiters.PushBack(w)
	if p.opening() && d.Buffered && p.behindAnother(w) {
		return w
	}
	if toClose := p.dispatchWaiters(); len(toClose) > 0 {
		p.tasks.Go(func() { p.closeAll(toClose) })
	}
	return w
}

// opening reports whether a connection to share is being made.
func (p *Pool) opening() bool {
	now := time.Now()
	return slices.ContainsFunc(p.instances, func(in *instance) bool { return in.sharing.coming(now) })
}

// behindAnother reports whether the waiter before w waits for the same connection to
// share. With thousands that come at once, looking at all of them for each would
// take long.
func (p *Pool) behindAnother(w *waiter) bool {
	e := w.elem.Prev()
	if e == nil {
		return false
	}
	before := e.Value.(*waiter)
	return before.dial == nil && before.demand.like(w.demand) && len(before.failed) == 0
}

// wait waits until w is resolved, ctx ends or the deadline passes, and collects the result.
func (p *Pool) wait(ctx context.Context, w *waiter, deadline time.Time) (*conn, error) {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-w.done:
	case <-timer.C:
		p.abandonWait(w, ErrWaitTimeout)
	case <-ctx.Done():
		p.abandonWait(w, context.Cause(ctx))
	}
	return p.collect(ctx, w)
}

// collect returns what a resolved waiter got. A connection that came in the moment when ctx
// ended is given back.
func (p *Pool) collect(ctx context.Context, w *waiter) (*conn, error) {
	if w.conn != nil && ctx.Err() != nil {
		p.takeBack(w.conn)
		return nil, context.Cause(ctx)
	}
	return w.conn, w.err
}

// giveUp settles a wait that lasted too long, unless it was settled meanwhile.
func (p *Pool) abandonWait(w *waiter, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !w.resolved {
		p.resolve(w, nil, err)
	}
}

// takeBack takes what a waiter got in the instant it gave up.
func (p *Pool) takeBack(c *conn) {
	p.mu.Lock()
	c.uses--
	p.release(c)
	toClose := p.recycle(c)
	p.mu.Unlock()
	p.closeAll(toClose)
}

// settle ends a wait, with a connection or with an error.
func (p *Pool) resolve(w *waiter, c *conn, err error) {
	p.waiters.Remove(w.elem)
	w.resolved, w.conn, w.err = true, c, err
	if c != nil {
		p.acquire(c, w.demand)
	}
	close(w.done)
	if w.notify != nil {
		p.tasks.Go(w.notify)
	}
}

// kick serves waiters with what is there, and starts a dial for every other one
// that has none, as far as the budgets go. Where only idle connections are in the
// way it takes one out and returns it: the caller closes it, and the room it
// leaves is given out then.
func (p *Pool) dispatchWaiters() (toClose []*conn) {
	if p.closed {
		return nil
	}
	making, now := p.closingCount(), time.Now()
	for e, next := p.waiters.Front(), (*list.Element)(nil); e != nil; e = next {
		if p.exhausted() {
			break
		}
		next = e.Next()
		w := e.Value.(*waiter)
		if w.dial != nil {
			continue
		}
		if c := p.joinable(w.demand); c != nil {
			p.resolve(w, c, nil)
			continue
		}
		if p.allRuledOut(w) {
			p.resolve(w, nil, &UnavailableError{p.failures(w)})
			continue
		}
		in := p.choose(w.demand, func(in *instance) bool { return in.roomFor(w) && p.eligible(w, in) })
		switch {
		case in != nil && in.sharing.coming(now) && p.sharing(in, w.demand):
			// The connection that is being made is for this one, too.
		case in != nil:
			p.startDial(in, w)
			continue
		case making > 0:
			making--
		default:
			if in := p.choose(w.demand, func(in *instance) bool { return len(in.idle) > 0 && p.eligible(w, in) }); in != nil {
				toClose = append(toClose, p.evictOldest(in))
			}
		}
		for _, f := range w.full {
			if now.Before(f.until) {
				p.schedule(f.until)
			}
		}
	}
	return toClose
}

// exhausted reports whether there is nothing to give, to anybody.
func (p *Pool) exhausted() bool {
	return !slices.ContainsFunc(p.instances, func(in *instance) bool {
		return in.room() || len(in.idle) > 0 || in.outage.aside()
	})
}

// eligible reports whether w can be given a connection to in. One that is set aside
// is the last resort: w rather waits for another to have room.
func (p *Pool) eligible(w *waiter, in *instance) bool {
	return !p.ruledOut(in, w) && (!in.outage.aside() || !p.anotherIsUp(in, w))
}

// out reports whether w cannot wait for in. One of several that did not answer in
// time and is set aside counts as tried.
func (p *Pool) ruledOut(in *instance, w *waiter) bool {
	return w.hasTried(in) || in.outage.timedOut() && len(p.instances) > 1
}

// hopeless reports whether there is no instance left that w could wait for.
func (p *Pool) allRuledOut(w *waiter) bool {
	return !slices.ContainsFunc(p.instances, func(in *instance) bool { return !p.ruledOut(in, w) })
}

// failures says for each instance why w, which is hopeless, could not wait for it.
func (p *Pool) failures(w *waiter) []*DialError {
	all := w.failed
	for _, in := range p.instances {
		if !w.hasTried(in) {
			all = append(all, &DialError{in.Addr, in.outage.err})
		}
	}
	return all
}

func (w *waiter) hasTried(in *instance) bool {
	return slices.ContainsFunc(w.failed, func(e *DialError) bool { return e.Addr == in.Addr })
}
