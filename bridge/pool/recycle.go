package pool

import "time"

// keep takes back the connection of a lease whose request was answered to its end.
func (p *Pool) keep(l *Lease) {
	c, in := l.c, l.c.inst
	p.mu.Lock()
	in.served = time.Now()
	in.lastOK = in.served
	p.release(c)
	if c.mux != nil {
		p.recycle(c)
	} else {
		p.keepExclusive(l)
	}
	p.unlock()
}

// keepExclusive is recycle for a connection that the request had to itself, in the way
// that the application is known to need.
func (p *Pool) keepExclusive(l *Lease) {
	c, in := l.c, l.c.inst
	if c.ended++; c.ended > 1 {
		p.noteKeptOpen(in)
	}
	switch {
	case p.closed, l.noKeepAlive && (c.peerClosed || !p.config().ClosesWhenFull): // a process waits for us to close
		p.startClosing(c)
	case l.noKeepAlive:
		p.setState(c, closing)
		p.tasks.Go(func() {
			c.linger(lingerTimeout)
			p.closeAll([]*conn{c})
		})
	case in.behaviour.closesAlways():
		p.setState(c, closing)
		p.tasks.Go(func() { p.awaitEnd(c) })
	case p.config().KeepAlive == KeepAuto && in.keep.state != keepTaken:
		p.startQuery(c)
	default:
		p.recycle(c)
	}
}

// reject takes back a connection whose request did not end properly. It is closed, unless
// other requests share it.
func (p *Pool) reject(c *conn) {
	if c.mux == nil {
		p.discard(c, func(n *Counters) { n.Discarded++ })
		return
	}
	p.mu.Lock()
	c.inst.counters.Discarded++
	p.release(c)
	p.recycle(c)
	p.unlock()
}

// recycle gives a released connection to the first waiter that can have it, keeps it, or
// has it closed: among others if it was never used, because none is dialled before a
// request needs it, or if a new connection waits to be accepted.
func (p *Pool) recycle(c *conn) {
	switch {
	case c.streams > 0:
		p.dispatchWaiters()
		return
	case p.closed, c.noMore, c.inst.membership != serving, p.isSurplus(c), c.uses > 0 && c.mux == nil && !p.keeps(c.inst):
		p.startClosing(c)
		return
	case c.uses > 0 && c.inst.queue.toShed > 0:
		p.shedOne(c)
		return
	}
	if c.mux == nil {
		w, room := p.firstWaiter(c)
		switch {
		case w != nil && !room:
			p.resolve(w, c, nil)
			return
		case room, c.uses == 0:
			c.evicted = room
			p.startClosing(c)
			return
		}
	}
	p.park(c)
	p.dispatchWaiters() // some may share it
	if c.uses == 0 && c.state == idle {
		p.startClosing(c)
	}
}

// firstWaiter returns the first waiter that can have c, or that needs the room of c for
// another connection. Otherwise a request that needs a new connection would wait for as
// long as requests arrive that do not.
func (p *Pool) firstWaiter(c *conn) (w *waiter, room bool) {
	closings := p.closingCount()
	for e := p.waiters.Front(); e != nil; e = e.Next() {
		w := e.Value.(*waiter)
		switch {
		case p.suits(c, w.demand):
			return w, false
		case w.dial != nil || !p.eligible(w, c.inst) || c.inst.roomFor(w):
		case closings > 0:
			closings--
		default:
			return w, true
		}
	}
	return nil, false
}

// suits reports whether a request can have c, which nobody uses. A new connection that was
// dialled for a request that can be sent again was not queried.
func (p *Pool) suits(c *conn, d Demand) bool {
	if c.uses == 0 {
		return c.proved || !p.mayTurnAway(c.inst, d)
	}
	return d.takes(c)
}

// closingCount is how many connections are being closed. Each of them makes room.
func (p *Pool) closingCount() (n int) {
	for _, in := range p.instances {
		n += in.count[closing]
	}
	return n
}
