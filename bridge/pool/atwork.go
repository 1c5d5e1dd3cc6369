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
const backTimeout = 5 * time.Millisecond

// workMax is how long a process counts as taken that does not come back. It is taken for
// as long as it works; what has hung would be waited for by who drains the instance.
const workMax = 10 * time.Minute

// caughtUp reports whether the application is known to have read all that was written.
func (c *conn) hasReadAll() bool {
	if c.unread == nil || c.inst.Relayed {
		return false
	}
	some, err := c.unread.Any()
	return err == nil && !some
}

// behind reports whether it is known not to have.
func (c *conn) hasUnread() bool {
	if c.unread == nil {
		return false
	}
	some, err := c.unread.Any()
	return err == nil && some
}

// isBack reports whether the process of a kept connection is there to read it, or may be,
// after a moment at most.
func (p *Pool) isBack(c *conn) bool {
	if !p.config().WorksOn || !c.hasUnread() {
		return true
	}
	return c.unread.AwaitUntil(time.Now().Add(backTimeout)) == nil
}

// setAside takes a kept connection back from a request that was given it: its process is
// at work. It holds that process, and nobody is given it, until the process is back.
func (p *Pool) releaseAtWork(c *conn) {
	var toClose []*conn
	p.mu.Lock()
	c.uses--
	p.release(c)
	if p.closed || c.inst.membership == removed {
		p.setState(c, closing)
		toClose = []*conn{c}
	} else {
		p.holdAtWork(c)
	}
	p.mu.Unlock()
	p.closeAll(toClose)
}

// detain is setAside for a connection that nobody uses.
func (p *Pool) holdAtWork(c *conn) {
	p.noteWork(c.inst)
	p.setState(c, atWork)
	p.awaitBack(c)
}

// noteWork notes that a process works on.
func (p *Pool) noteWork(in *instance) {
	in.counters.workedOn++
	if time.Since(in.behaviour.workedOnAt) >= logEvery {
		p.log(in, slog.LevelInfo, "a process works on after its answer; requests go to others until it is back")
	}
	in.behaviour.workedOnAt = time.Now()
}

// closeWhenBack is for a connection that is to be closed, and whose process may be at work:
// it would not be free then. Most are back in a moment.
func (p *Pool) closeWhenBack(c *conn) {
	p.setState(c, atWork)
	p.tasks.Go(func() {
		back := p.isBack(c)
		p.mu.Lock()
		var toClose []*conn
		if back {
			c.evicted = false // nothing more is looked at
			p.setState(c, closing)
			toClose = []*conn{c}
		} else {
			p.holdAtWork(c)
		}
		p.mu.Unlock()
		p.closeAll(toClose)
	})
}

// awaitBack has a connection handed back, or closed, when its process is back. If it is
// not after workMax, the connection is closed, and its room is free.
func (p *Pool) awaitBack(c *conn) {
	p.tasks.Go(func() {
		begun := time.Now()
		back := p.awaitFor(c, muteAfter)
		if !back && !p.isMute(c) {
			back = p.awaitFor(c, workMax-time.Since(begun))
		}
		p.mu.Lock()
		var toClose []*conn
		if back && !c.evicted {
			toClose = p.recycle(c)
		} else {
			c.evicted = false // nothing more is looked at
			p.setState(c, closing)
			toClose = []*conn{c}
		}
		p.mu.Unlock()
		p.closeAll(toClose)
	})
}

func (p *Pool) awaitFor(c *conn, d time.Duration) (back bool) {
	ctx, cancel := context.WithTimeout(p.ctx, d)
	defer cancel()
	return c.unread.Await(ctx) == nil && c.usable()
}
