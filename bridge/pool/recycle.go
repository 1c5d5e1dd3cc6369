package pool

import "time"

// keep takes back a leased connection, or a part of one, on which the request was
// answered to its end.
func (p *Pool) keep(l *Lease) {
	c, in := l.c, l.c.inst
	p.mu.Lock()
	in.served = time.Now()
	in.lastOK = in.served
	p.release(c)
	var toClose []*conn
	if c.mux != nil {
		toClose = p.recycle(c)
	} else {
		toClose = p.keepOwn(l)
	}
	p.mu.Unlock()
	p.closeAll(toClose)
}

// keepOwn is handBack for a connection that a request had to itself, in the way the
// application is known to need.
func (p *Pool) keepOwn(l *Lease) (toClose []*conn) {
	c, in := l.c, l.c.inst
	if c.ended++; c.ended > 1 {
		p.noteKeptOpen(in)
	}
	switch {
	case p.closed, l.noKeepAlive && (c.peerClosed || !p.config().ClosesWhenFull): // a process waits for us to close
		p.setState(c, closing)
		return []*conn{c}
	case l.noKeepAlive:
		p.setState(c, closing)
		p.tasks.Go(func() {
			c.linger(lingerTimeout)
			p.closeAll([]*conn{c})
		})
		return nil
	case in.behaviour.closesAlways():
		p.setState(c, closing)
		p.tasks.Go(func() { p.awaitEnd(c) })
		return nil
	case p.config().KeepAlive == KeepAuto && in.keep.state != keepTaken:
		return p.startQuery(c)
	}
	return p.recycle(c)
}

// reject takes back one on which the request did not end cleanly: it is closed, unless
// others share it.
func (p *Pool) reject(c *conn) {
	if c.mux == nil {
		p.discard(c, func(n *counters) { n.discards++ })
		return
	}
	p.mu.Lock()
	c.inst.counters.discards++
	p.release(c)
	toClose := p.recycle(c)
	p.mu.Unlock()
	p.closeAll(toClose)
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
