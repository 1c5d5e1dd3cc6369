package pool

import (
	"slices"
	"time"
)

// discard closes a busy connection that cannot be used again and has it counted.
func (p *Pool) discard(c *conn, count func(*counters)) {
	p.mu.Lock()
	count(c.inst.counters)
	p.setState(c, closing)
	p.mu.Unlock()
	p.closeAll([]*conn{c})
}

// closeAll closes connections in state closing and gives their room to waiters,
// at once or after CloseDelay.
func (p *Pool) closeAll(conns []*conn) {
	for len(conns) > 0 {
		conns = p.withoutAtWork(conns)
		for _, c := range conns {
			if c.evicted && c.mux == nil && !c.usable() {
				p.noteClosedIdle(c)
			}
			_ = c.close() // the connection is done with; nothing can be learned here
		}
		p.mu.Lock()
		for _, c := range conns {
			if delay := p.closeDelay(c); delay > 0 && !p.closed {
				p.tasks.Go(func() { p.freeRoom(c, delay) })
				continue
			}
			p.free(c)
		}
		conns = p.dispatchWaiters()
		p.mu.Unlock()
	}
}

// leaveAtWork takes those out of conns whose process works on after its answer: it would
// not be free if its connection was closed.
func (p *Pool) withoutAtWork(conns []*conn) []*conn {
	if !p.config().WorksOn {
		return conns
	}
	var others []*conn // that are closed instead, where there are too many
	conns = slices.DeleteFunc(conns, func(c *conn) bool {
		if !c.evicted || c.mux != nil || !c.hasUnread() {
			return false
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.closed || c.inst.membership == removed {
			return false
		}
		p.closeWhenBack(c)
		others = append(others, p.trim(c.inst)...)
		return true
	})
	if len(others) > 0 {
		conns = append(conns, p.withoutAtWork(others)...)
	}
	return conns
}

// free ends what the budget knows of c. When there is no connection left, the next one
// may be to another application.
func (p *Pool) free(c *conn) {
	p.setState(c, none)
	if c.inst.used() == 0 {
		c.inst.behaviour.replies = false
		p.resetKeep(c.inst, false)
	}
}

// closeDelay is how long the application may need to be done with c.
func (p *Pool) closeDelay(c *conn) time.Duration {
	switch {
	case !c.peerClosed:
		return p.config().CloseDelay
	case c.inst.observed.fullAt.IsZero():
		return 0 // most are
	}
	return p.config().CloseDelay / 10
}

// freeRoom gives the room of a closed connection to waiters after a while.
func (p *Pool) freeRoom(c *conn, after time.Duration) {
	t := time.NewTimer(after)
	defer t.Stop()
	select {
	case <-t.C:
	case <-p.ctx.Done():
	}
	p.mu.Lock()
	p.free(c)
	toClose := p.dispatchWaiters()
	p.mu.Unlock()
	p.closeAll(toClose)
}

// awaitEnd waits for the application to close a connection, as it does after every
// answer. If it does not, that has changed, and the connection is kept.
func (p *Pool) awaitEnd(c *conn) {
	quiet := c.linger(eofTimeout)
	p.mu.Lock()
	toClose := []*conn{c}
	if quiet && !p.closed {
		p.noteKeptOpen(c.inst)
		if p.config().KeepAlive == KeepAuto { // it was asked before, and closed because of that
			p.setKeepState(c.inst, keepTaken, "")
		}
		toClose = p.recycle(c)
	}
	p.mu.Unlock()
	p.closeAll(toClose)
}
