package pool

import (
	"slices"
	"time"
)

// setState is the one place where the state of a connection changes. A connection enters
// the budget only in startDial and ProbeServing, which check that there is room.
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

// acquire counts one more request on a connection.
func (p *Pool) acquire(c *conn, d Demand) {
	if c.uses > 0 {
		c.inst.counters.Reuses++
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

// release counts one request less on a connection. If it was the last, the caller recycles
// or closes the connection.
func (p *Pool) release(c *conn) {
	if c.streams > 1 {
		c.inst.extra--
	}
	c.streams--
}

// park makes a connection idle.
func (p *Pool) park(c *conn) {
	p.setState(c, idle)
	c.idleSince = time.Now()
	c.inst.idle = append(c.inst.idle, c)
	p.schedule(c.idleSince.Add(p.config().IdleTimeout))
}

// unpark takes a connection off the list of idle ones, if it is there.
func (p *Pool) unpark(c *conn) {
	in := c.inst
	if c == in.keep.trialConn {
		p.setKeepState(in, keepUnknown, "")
	}
	if i := slices.Index(in.idle, c); i >= 0 {
		in.idle = slices.Delete(in.idle, i, i+1)
	}
}
