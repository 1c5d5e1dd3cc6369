package pool

import (
	"context"
	"slices"
	"time"
)

// startClosing takes out a connection that nobody uses. It is closed by unlock, without
// the mutex.
func (p *Pool) startClosing(c *conn) {
	p.unpark(c)
	p.unshare(c)
	p.setState(c, closing)
	p.toClose = append(p.toClose, c)
}

// evict closes a connection in good order, because its room is needed.
func (p *Pool) evict(c *conn) {
	c.evicted = true
	p.startClosing(c)
}

// evictOldest evicts the idle connection that has not been used for longest.
func (p *Pool) evictOldest(in *instance) { p.evict(in.idle[0]) }

// evictExclusive evicts the idle connections that are not shared, and returns how many.
func (p *Pool) evictExclusive(in *instance) (n int) {
	for i := len(in.idle) - 1; i >= 0; i-- {
		if c := in.idle[i]; c.mux == nil {
			p.evict(c)
			n++
		}
	}
	return n
}

// evictAll evicts all idle connections.
func (p *Pool) evictAll(in *instance) {
	for len(in.idle) > 0 {
		p.evictOldest(in)
	}
}

// unlock releases the mutex, and closes the connections that were taken out meanwhile.
// Whoever may have called startClosing uses it instead of mu.Unlock.
func (p *Pool) unlock() {
	conns := p.takeToClose()
	p.mu.Unlock()
	if len(conns) > 0 {
		p.closeAll(conns)
	}
}

// closeLater has another goroutine close the connections that were taken out.
func (p *Pool) closeLater() {
	if conns := p.takeToClose(); len(conns) > 0 {
		p.tasks.Go(func() { p.closeAll(conns) })
	}
}

func (p *Pool) takeToClose() []*conn {
	conns := p.toClose
	p.toClose = nil
	return conns
}

// closeAll closes connections in state closing. It gives their room to waiters at once, or,
// where a server with threads needs a moment to notice, after CloseDelay.
func (p *Pool) closeAll(conns []*conn) {
	for len(conns) > 0 {
		conns = p.withoutAtWork(conns)
		for _, c := range conns {
			if c.evicted && c.mux == nil && !c.usable() {
				p.noteClosedIdle(c)
			}
			if c.halfClosed = p.config().CloseDelay > 0 && p.ctx.Err() == nil && c.closeHalf(); !c.halfClosed {
				_ = c.close() // nobody uses the connection any more
			}
		}
		p.mu.Lock()
		for _, c := range conns {
			if delay := p.closeDelay(c); delay > 0 && !p.closed {
				p.tasks.Go(func() { p.freeRoom(c, delay) })
				continue
			}
			if c.halfClosed { // p was closed meanwhile
				_ = c.close()
			}
			p.free(c)
		}
		p.dispatchWaiters()
		conns = p.takeToClose()
		p.mu.Unlock()
	}
}

// withoutAtWork returns conns without those whose process works on after its answer: closing
// such a connection would not free the process. If there are too many connections, others
// are closed instead.
func (p *Pool) withoutAtWork(conns []*conn) []*conn {
	if !p.config().WorksOn {
		return conns
	}
	return slices.DeleteFunc(conns, func(c *conn) bool {
		if !c.evicted || c.mux != nil || !c.hasUnread() {
			return false
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.closed || c.inst.membership == removed {
			return false
		}
		p.closeWhenBack(c)
		p.trim(c.inst) // closeAll closes these next
		return true
	})
}

// free takes c out of the budget. After the last connection, the next one may be to another
// application.
func (p *Pool) free(c *conn) {
	p.setState(c, none)
	if c.inst.used() == 0 {
		c.inst.behaviour.replies = false
		p.resetKeep(c.inst, false)
	}
}

// closeDelay is how long the thread of c may need to be free after both sides are closed, or after
// this one is, if the other is not seen.
func (p *Pool) closeDelay(c *conn) time.Duration {
	switch {
	case !c.peerClosed:
		return p.config().CloseDelay
	case c.inst.observed.fullAt.IsZero():
		return 0
	}
	return p.config().CloseDelay / 10
}

// freeRoom gives the room of a closed connection to waiters after a delay. Of one that is half
// closed, the application closes the other half first, or has had freeWithin for that: on a busy
// machine its thread notices late, and another connection would be one too many.
func (p *Pool) freeRoom(c *conn, delay time.Duration) {
	if c.halfClosed {
		wake := context.AfterFunc(p.ctx, func() { _ = c.close() })
		c.linger(freeWithin)
		wake()
		_ = c.close() // fails if p was closed
	}
	t := time.NewTimer(delay)
	defer t.Stop()
	select {
	case <-t.C:
	case <-p.ctx.Done():
	}
	p.mu.Lock()
	p.free(c)
	p.dispatchWaiters()
	p.unlock()
}

// discard closes a busy connection that cannot be used again, and counts that.
func (p *Pool) discard(c *conn, count func(*Counters)) {
	p.mu.Lock()
	count(c.inst.counters)
	c.spoiled = true
	p.startClosing(c)
	p.unlock()
}

// awaitEnd waits for an application that closes every connection after its answer. If it
// does not close this one, it has changed, and the connection is kept.
func (p *Pool) awaitEnd(c *conn) {
	quiet := c.linger(eofTimeout)
	p.mu.Lock()
	if quiet && !p.closed {
		p.noteKeptOpen(c.inst)
		if p.config().KeepAlive == KeepAuto { // it was queried before, and closed because of that
			p.setKeepState(c.inst, keepTaken, "")
		}
		p.recycle(c)
	} else {
		p.startClosing(c)
	}
	p.unlock()
}
