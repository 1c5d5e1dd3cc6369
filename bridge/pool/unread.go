package pool

import (
	"errors"
	"time"
)

// A request on a kept connection may not be read at all: the application works on after
// its last answer, or never reads a connection again that it has kept. That looks like a
// page that takes its time, unless the kernel tells.

// ErrIgnored means that the application has not read anything of a request on a kept
// connection for a while. It may still do, so the request may run when it was sent again.
var ErrRequestUnread = errors.New("pool: the application has not read a request on a kept connection")

// Ignored reports whether the application has read nothing of the request, which was sent
// whole on a kept connection. Where that is not known, it does not. It may have stopped
// altogether: Elsewhere begins to find that out.
func (l *Lease) RequestUnread() bool {
	c := l.c
	if l.fresh || l.Shared() || c.kernel == nil || l.ch.Received() != l.base {
		return false
	}
	n, err := c.kernel.Bytes()
	return err == nil && n > 0 && int64(n) >= c.written.Load() // the end of the request before it may be left, too
}

// Elsewhere has it found out whether the application serves others while it ignores the
// request: it is asked on a new connection, or on an unused one if there is no room.
func (l *Lease) ProbeServing() {
	p, in := l.p, l.c.inst
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed, in.behaviour.noQueries, in.membership != serving, in.servedSince(l.sentAt), in.count[dialing]+in.count[querying] > 0:
	case in.room():
		gone := make(chan struct{})
		close(gone)
		p.begin(&dial{ctx: in.ctx, conn: &conn{inst: in}, w: &waiter{done: gone, resolved: true}, queries: true})
	default:
		p.queryIdle(in)
	}
}

// askUnused asks on an idle connection, if there is one, unless it was asked already.
func (p *Pool) queryIdle(in *instance) {
	c := in.kept(Demand{})
	if c == nil {
		return
	}
	if _, isAsked := c.unread.(*replyDue); isAsked {
		return
	}
	p.unpark(c)
	p.setState(c, querying)
	c.interrupted.Store(false) // until stopAsking
	p.tasks.Go(func() {
		m := c.queryKept(p.querier(), time.Now().Add(keptQueryTimeout))
		var toClose []*conn
		p.mu.Lock()
		switch {
		case m == keptUnread && p.config().WorksOn && in.membership != removed:
			p.holdAtWork(c) // its process is at work, too
		case m == keptClosed || m == keptUnread:
			p.setState(c, closing)
			toClose = []*conn{c}
		default:
			in.repliedAt = time.Now()
			toClose = p.recycle(c)
		}
		p.mu.Unlock()
		p.closeAll(toClose)
	})
}

// servedBeside reports whether the application has done something for somebody since a
// time.
func (in *instance) servedSince(t time.Time) bool {
	return in.served.After(t) || in.repliedAt.After(t)
}

// Forsake gives up a request that was ignored while others were served: it is to be sent
// again elsewhere, if it is idempotent, and connections are not kept any more where that is
// found out. It returns nil if nobody was served, or there is nowhere else to send it.
func (l *Lease) AbandonUnread() *Error {
	if !l.noteUnread() {
		return nil
	}
	l.dead = true
	return &Error{Op: "read", Addr: l.Addr(), Err: ErrRequestUnread, Replay: ReplayIdempotent, Silence: true}
}

// NoteIgnored is Forsake for a request that must not be sent again: it is waited for.
func (l *Lease) NoteUnread() { l.noteUnread() }

// noteIgnored has no more connections kept, if that is found out, and reports whether the
// request should be sent elsewhere.
func (l *Lease) noteUnread() bool {
	p, in := l.p, l.c.inst
	p.mu.Lock()
	if !in.servedSince(l.sentAt) {
		p.mu.Unlock()
		return false // it may have stopped
	}
	elsewhere := in.room() || in.hasExclusiveIdle() || len(p.instances) > 1
	var toClose []*conn
	if p.config().KeepAlive == KeepAuto && in.keep.state != keepRefused {
		toClose = p.stopKeeping(in, "a request on a kept connection was not read")
	}
	p.mu.Unlock()
	p.closeAll(toClose)
	return elsewhere
}
