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
