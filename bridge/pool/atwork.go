package pool

import (
	"context"
	"log/slog"
	"time"
)

// A process of PHP may work on when it has answered (fastcgi_finish_request), its
// connection kept: what is sent on that waits until it is done. Meanwhile the end of STDIN
// is left unread, which can be seen where somebody knows (Instance.Unread). So a
// connection is used again only when it has been read.

// backWithin is how long a process may take to come back to its connection before a
// request goes elsewhere. Most are back before the answer is here.
const backWithin = 5 * time.Millisecond

// workMax is how long a process counts as taken that does not come back. It is taken for
// as long as it works; what has hung would be waited for by who drains the instance.
const workMax = 10 * time.Minute

// caughtUp reports whether the application is known to have read all that was written.
func (c *conn) caughtUp() bool {
	if c.unread == nil {
		return false
	}
	some, err := c.unread.Any()
	return err == nil && !some
}

// behind reports whether it is known not to have.
func (c *conn) behind() bool {
	if c.unread == nil {
		return false
	}
	some, err := c.unread.Any()
	return err == nil && some
}

// isBack reports whether the process of a kept connection is there to read it, or may be,
// after a moment at most.
func (p *Pool) isBack(c *conn) bool {
	if !p.config().WorksOn || !c.behind() {
		return true
	}
	ctx, cancel := context.WithTimeout(p.ctx, backWithin)
	defer cancel()
	return c.unread.Await(ctx) == nil
}

// setAside takes a kept connection back from a request that was given it: its process is
// at work. It holds that process, and nobody is given it, until the process is back.
func (p *Pool) setAside(c *conn) {
	var victims []*conn
	p.mu.Lock()
	c.uses--
	p.vacate(c)
	if p.closed || c.inst.standing == removed {
		p.move(c, closing)
		victims = []*conn{c}
	} else {
		p.detain(c)
	}
	p.mu.Unlock()
	p.closeAll(victims)
}

// detain is setAside for a connection that nobody uses.
func (p *Pool) detain(c *conn) {
	in := c.inst
	in.counters.workedOn++
	if time.Since(in.habits.workedOnAt) >= tellEvery {
		p.log(in, slog.LevelInfo, "a process works on after its answer; requests go to others until it is back")
	}
	in.habits.workedOnAt = time.Now()
	p.move(c, atWork)
	p.recount()
	ctx, cancel := context.WithTimeout(p.ctx, workMax)
	p.tasks.Go(func() {
		defer cancel()
		p.awaitBack(ctx, c)
	})
}

// awaitBack waits for the process of a connection to be back, and hands the connection
// back then. If ctx ends before, the connection is closed, and its room is free.
func (p *Pool) awaitBack(ctx context.Context, c *conn) {
	back := c.unread.Await(ctx) == nil && c.usable()
	p.mu.Lock()
	var victims []*conn
	if back {
		c.evicted = false
		victims = p.handBack(c)
	} else {
		p.move(c, closing)
		victims = []*conn{c}
	}
	p.recount()
	p.mu.Unlock()
	p.closeAll(victims)
}
