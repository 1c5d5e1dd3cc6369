package pool

import (
	"context"
	"log/slog"
	"time"
)

// A process of PHP may work on after its answer (fastcgi_finish_request). Its connection
// stays open, and a request that is sent on it waits until the work is done. Meanwhile the
// process leaves the end of STDIN unread, and Instance.Unread can tell. A kept connection
// is used again only when its process has come back to it.

const (
	// backTimeout is how long a request waits for a process to come back before it takes
	// another connection. Most processes are back before the answer has arrived.
	backTimeout = 5 * time.Millisecond
	// workMax is how long a process at work counts as taken. If it hangs, Drain would wait
	// for it.
	workMax = 10 * time.Minute
)

// hasReadAll reports whether the application is known to have read all that was sent.
func (c *conn) hasReadAll() bool {
	if c.unread == nil || c.inst.Relayed {
		return false
	}
	some, err := c.unread.Any()
	return err == nil && !some
}

// hasUnread reports whether the application is known not to have read all that was sent.
func (c *conn) hasUnread() bool {
	if c.unread == nil {
		return false
	}
	some, err := c.unread.Any()
	return err == nil && some
}

// isBack reports whether the process of a kept connection reads it again, as far as is
// known. It waits for backTimeout.
func (p *Pool) isBack(c *conn) bool {
	if !p.config().WorksOn || !c.hasUnread() {
		return true
	}
	return c.unread.AwaitUntil(time.Now().Add(backTimeout)) == nil
}

// mustAwaitBack reports whether isBack would wait.
func (p *Pool) mustAwaitBack(c *conn) bool {
	return c.mux == nil && c.uses > 1 && p.config().WorksOn && c.hasUnread()
}

// inTask runs f in a goroutine of the pool's, or here if the pool is closed.
func (p *Pool) inTask(f func()) {
	p.mu.Lock()
	closed := p.closed
	if !closed {
		p.tasks.Go(f)
	}
	p.mu.Unlock()
	if closed {
		f()
	}
}

// releaseAtWork takes a kept connection back from a request that has acquired it, because
// its process is at work.
func (p *Pool) releaseAtWork(c *conn) {
	p.mu.Lock()
	c.uses--
	p.release(c)
	if p.closed || c.inst.membership == removed {
		p.startClosing(c)
	} else {
		p.holdAtWork(c)
	}
	p.unlock()
}

// holdAtWork sets a connection aside until its process is back. It counts against the
// budget, as the process does.
func (p *Pool) holdAtWork(c *conn) {
	in := c.inst
	in.counters.WorkedOn++
	if time.Since(in.behaviour.workedOnAt) >= logEvery {
		p.log(in, slog.LevelInfo, "a process works on after its answer; requests go to others until it is back")
	}
	in.behaviour.workedOnAt = time.Now()
	p.setState(c, atWork)
	p.tasks.Go(func() { p.awaitBack(c) })
}

// awaitBack recycles a connection when its process is back. If it is not back after workMax,
// the connection is closed, and its room is free.
func (p *Pool) awaitBack(c *conn) {
	begun := time.Now()
	back := p.awaitFor(c, muteAfter)
	if !back && !p.isMute(c) {
		back = p.awaitFor(c, workMax-time.Since(begun))
	}
	p.mu.Lock()
	if back && !c.evicted {
		p.recycle(c)
	} else {
		c.evicted = false // closeAll need not look at it again
		p.startClosing(c)
	}
	p.unlock()
}

func (p *Pool) awaitFor(c *conn, d time.Duration) (back bool) {
	ctx, cancel := context.WithTimeout(p.ctx, d)
	defer cancel()
	return c.unread.Await(ctx) == nil && c.usable()
}

// closeWhenBack closes a connection when its process is back. Most are back in a moment.
func (p *Pool) closeWhenBack(c *conn) {
	p.setState(c, atWork)
	p.tasks.Go(func() {
		back := p.isBack(c)
		p.mu.Lock()
		if back {
			c.evicted = false // closeAll need not look at it again
			p.startClosing(c)
		} else {
			p.holdAtWork(c)
		}
		p.unlock()
	})
}
