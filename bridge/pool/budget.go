package pool

import (
	"slices"
	"time"
)

// occupy counts one request more on a connection.
func (p *Pool) acquire(c *conn, d Demand) {
	if c.uses > 0 {
		c.inst.counters.reuses++
	}
	c.uses++
	c.streams++
	if c.streams > 1 {
		c.inst.extra++
		return
	}
	c.bodies = d.Body
	c.noKeepAlive = c.mux == nil && p.noKeepAlive(c.inst)
	p.unpark(c)
	p.setState(c, busy)
	if c.uses == 1 && c.mux == nil && !c.proved {
		c.inst.queue.track(c)
	}
	p.scheduleQueueCheck(c.inst)
}

// vacate counts one request less on a connection. The caller hands it back or
// closes it if it was the last.
func (p *Pool) release(c *conn) {
	if c.streams > 1 {
		c.inst.extra--
	}
	c.streams--
}

// handBack gives a connection that was vacated to the first waiter that takes it,
// keeps it, or lets it be closed: if it was never used, because none is dialled before
// a request needs it, or if another waits to be accepted. It returns what has to be
// closed.
func (p *Pool) recycle(c *conn) (toClose []*conn) {
	switch {
	case c.streams > 0:
		return p.dispatchWaiters()
	case p.closed, c.noMore, c.inst.membership != serving, p.isSurplus(c), c.uses > 0 && c.mux == nil && !p.keeps(c.inst):
		p.unshare(c)
		p.setState(c, closing)
		return []*conn{c}
	case c.uses > 0 && c.inst.queue.toShed > 0:
		return []*conn{p.shedOne(c)}
	}
	if c.mux == nil {
		w, room := p.firstWaiter(c)
		switch {
		case w != nil && !room:
			p.resolve(w, c, nil)
			return nil
		case room, c.uses == 0:
			c.evicted = room
			p.setState(c, closing)
			return []*conn{c}
		}
	}
	p.park(c)
	toClose = p.dispatchWaiters() // some may share it
	if c.uses == 0 && c.state == idle {
		toClose = append(toClose, p.takeIdle(c))
	}
	return toClose
}

// next returns the first waiter that a connection is for: one that takes it, or one
// that needs another and has waited for longer, for which its room is. Without that
// a request that needs a new connection would wait for as long as others come that
// do not.
func (p *Pool) firstWaiter(c *conn) (w *waiter, room bool) {
	making := p.closingCount()
	for e := p.waiters.Front(); e != nil; e = e.Next() {
		w := e.Value.(*waiter)
		switch {
		case p.suits(c, w.demand):
			return w, false
		case w.dial != nil || !p.eligible(w, c.inst) || c.inst.roomFor(w):
		case making > 0:
			making--
		default:
			return w, true
		}
	}
	return nil, false
}

// suits reports whether a connection that nobody uses will do for a request. One that
// was made for another request was not asked anything if that could be sent again.
func (p *Pool) suits(c *conn, d Demand) bool {
	if c.uses == 0 {
		return c.proved || !p.mayTurnAway(c.inst, d)
	}
	return d.takes(c)
}

// making is how many connections are being closed, and will make room.
func (p *Pool) closingCount() (n int) {
	for _, in := range p.instances {
		n += in.count[closing]
	}
	return n
}

// park keeps a connection.
func (p *Pool) park(c *conn) {
	p.setState(c, idle)
	c.idleSince = time.Now()
	c.inst.idle = append(c.inst.idle, c)
	p.schedule(c.idleSince.Add(p.config().IdleTimeout))
}

// unpark takes a connection from among those that are kept, if it is there.
func (p *Pool) unpark(c *conn) {
	in := c.inst
	if c == in.keep.trialConn {
		p.setKeepState(in, keepUnknown, "")
	}
	if i := slices.Index(in.idle, c); i >= 0 {
		in.idle = slices.Delete(in.idle, i, i+1)
	}
}

// evict takes an instance's oldest idle connection out for closing.
func (p *Pool) evictOldest(in *instance) *conn {
	c := in.idle[0]
	c.evicted = true
	return p.takeIdle(c)
}

// evictAll takes all of an instance's idle connections out for closing.
func (p *Pool) evictAll(in *instance) (toClose []*conn) {
	for len(in.idle) > 0 {
		toClose = append(toClose, p.evictOldest(in))
	}
	return toClose
}

// drop takes an idle connection out for closing.
func (p *Pool) takeIdle(c *conn) *conn {
	p.unpark(c)
	p.unshare(c)
	p.setState(c, closing)
	return c
}

// move is the one place where a connection changes state. A connection enters
// the budget in startDial alone, which looks whether there is room.
func (p *Pool) setState(c *conn, to connState) {
	in := c.inst
	if c.state == none {
		in.all[c] = struct{}{}
	} else {
		in.count[c.state]--
	}
	if to == none {
		delete(in.all, c)
	} else {
		in.count[to]++
	}
	if c.state == atWork || to == atWork {
		p.recount()
	}
	c.state = to
	in.signalDrained()
	if to != closing && to != none {
		return
	}
	in.queue.untrack(c)
	if c.answered {
		c.answered = false
		in.observed.answering--
		in.observed.freedAt = time.Now()
	}
}
