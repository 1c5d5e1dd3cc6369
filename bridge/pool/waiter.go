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

// nobody returns the waiter of a dial that no request waits for.
func nobody() *waiter {
	w := &waiter{done: make(chan struct{}), resolved: true}
	close(w.done)
	return w
}

// enqueue adds a waiter, and starts what can be started for it. The caller holds the mutex.
func (p *Pool) enqueue(d Demand) *waiter {
	w := &waiter{demand: d, done: make(chan struct{})}
	w.elem = p.waiters.PushBack(w)
	if p.opening() && d.Buffered && p.behindAnother(w) {
		return w
	}
	p.dispatchWaiters()
	p.closeLater()
	return w
}

// opening reports whether a connection is being dialled that will be shared.
func (p *Pool) opening() bool {
	now := time.Now()
	return slices.ContainsFunc(p.instances, func(in *instance) bool { return in.sharing.coming(now) })
}

// behindAnother reports whether the waiter before w waits for the same shared connection.
// If thousands of requests arrive at once, looking at all waiters for each takes too long.
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

// abandonWait resolves w with an error, unless it was resolved before.
func (p *Pool) abandonWait(w *waiter, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !w.resolved {
		p.resolve(w, nil, err)
	}
}

// collect returns what a resolved waiter got. If ctx ended at the same moment, the
// connection is given back.
func (p *Pool) collect(ctx context.Context, w *waiter) (*conn, error) {
	if w.conn != nil && ctx.Err() != nil {
		p.takeBack(w.conn)
		return nil, context.Cause(ctx)
	}
	return w.conn, w.err
}

// takeBack takes back a connection that was given to a waiter and not used.
func (p *Pool) takeBack(c *conn) {
	p.mu.Lock()
	c.uses--
	p.release(c)
	p.recycle(c)
	p.unlock()
}

// resolve ends a wait with a connection or an error.
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

// dispatchWaiters gives waiters the shared connections that there are, and starts dials for
// the others as far as the budgets allow. Where idle connections use up a budget, it evicts
// one for each waiter; closeAll calls it again when there is room.
func (p *Pool) dispatchWaiters() {
	if p.closed || p.waiters.Len() == 0 {
		return
	}
	closings, now := p.closingCount(), time.Now()
	for e, next := p.waiters.Front(), (*list.Element)(nil); e != nil; e = next {
		if p.exhausted() {
			return
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
			// w waits for the shared connection that is being dialled, but not for long.
			if now.Before(in.sharing.openUntil) {
				p.schedule(in.sharing.openUntil)
			}
		case in != nil:
			p.startDial(in, w)
			continue
		case closings > 0:
			closings-- // w waits for its room
			p.limitTrials(now)
		default:
			if in := p.choose(w.demand, func(in *instance) bool { return len(in.idle) > 0 && p.eligible(w, in) }); in != nil {
				p.evictOldest(in)
			}
		}
		for _, f := range w.full {
			if now.Before(f.until) {
				p.schedule(f.until)
			}
		}
	}
}

// exhausted reports whether no instance has anything for any waiter.
func (p *Pool) exhausted() bool {
	return !slices.ContainsFunc(p.instances, func(in *instance) bool {
		return in.room() || len(in.idle) > 0 || in.outage.aside()
	})
}

// eligible reports whether w may get a connection to in. An instance that is set aside is
// the last choice: w rather waits until another instance has room.
func (p *Pool) eligible(w *waiter, in *instance) bool {
	return !p.ruledOut(in, w) && (!in.outage.aside() || !p.anotherIsUp(in, w))
}

// ruledOut reports whether w cannot wait for in. One of several instances that is set aside
// because a dial timed out counts as tried.
func (p *Pool) ruledOut(in *instance, w *waiter) bool {
	return w.hasTried(in) || in.outage.timedOut() && len(p.instances) > 1
}

// allRuledOut reports whether there is no instance that w can wait for.
func (p *Pool) allRuledOut(w *waiter) bool {
	return !slices.ContainsFunc(p.instances, func(in *instance) bool { return !p.ruledOut(in, w) })
}

// failures says for each instance why it is ruled out for w.
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
