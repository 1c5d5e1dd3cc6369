package pool

import (
	"errors"
	"time"
)

// The application may not read a request on a kept connection: it works on after its last
// answer, or it never reads a kept connection again. Such a request looks like one that
// takes long, unless the kernel tells what was read (Instance.Unread).

// ErrRequestUnread means that the application has not read anything of a request on a kept
// connection for a while. It may read the request later, even after it was sent again.
var ErrRequestUnread = errors.New("pool: the application has not read a request on a kept connection")

// RequestUnread reports whether the application is known to have read nothing of the
// request, which was sent whole on a kept connection. The application may have stopped
// altogether: ProbeServing finds that out.
func (l *Lease) RequestUnread() bool {
	c := l.c
	if l.fresh || l.Shared() || c.kernel == nil || l.ch.Received() != l.base {
		return false
	}
	n, err := c.kernel.Bytes()
	return err == nil && n > 0 && int64(n) >= c.written.Load() // the end of the request before may be unread, too
}

// ProbeServing starts to find out whether the application serves others while it does not
// read the request: it sends a query on a new connection or, if there is no room, on an idle
// one.
func (l *Lease) ProbeServing() {
	p, in := l.p, l.c.inst
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed, in.behaviour.noQueries, in.membership != serving, in.servedSince(l.sentAt), in.count[dialing]+in.count[querying] > 0:
	case in.room():
		p.begin(&dial{ctx: in.ctx, conn: &conn{inst: in}, w: nobody(), queries: true})
	default:
		p.queryIdle(in)
	}
}

// queryIdle sends queries on an idle connection, if there is one on which no reply is due.
func (p *Pool) queryIdle(in *instance) {
	c := in.kept(Demand{})
	if c == nil {
		return
	}
	if _, queried := c.unread.(*replyDue); queried {
		return
	}
	p.unpark(c)
	p.setState(c, querying)
	c.interrupted.Store(false) // stopQueries sets it
	p.tasks.Go(func() {
		r := c.queryKept(p.querier(), time.Now().Add(keptQueryTimeout))
		p.mu.Lock()
		switch {
		case r == keptUnread && p.config().WorksOn && in.membership != removed:
			p.holdAtWork(c) // its process is at work, too
		case r == keptClosed || r == keptUnread:
			p.startClosing(c)
		default:
			in.repliedAt = time.Now()
			p.recycle(c)
		}
		p.unlock()
	})
}

// servedSince reports whether the application has answered a request or a query since t.
func (in *instance) servedSince(t time.Time) bool {
	return in.served.After(t) || in.repliedAt.After(t)
}

// AbandonUnread gives up a request that was not read while others were served. Its error
// says that the request may be sent again if it is idempotent. AbandonUnread returns nil if
// nobody was served, or if there is no other connection for the request. With KeepAuto, no
// more connections are kept.
func (l *Lease) AbandonUnread() *Error {
	if !l.noteUnread() {
		return nil
	}
	l.dead = true
	return &Error{Op: "read", Addr: l.Addr(), Err: ErrRequestUnread, Replay: ReplayIdempotent, Silence: true}
}

// NoteUnread is AbandonUnread for a request that must not be sent again, and waits on.
func (l *Lease) NoteUnread() { l.noteUnread() }

// noteUnread stops keeping connections if others were served, and reports whether the
// request should be sent again.
func (l *Lease) noteUnread() bool {
	p, in := l.p, l.c.inst
	p.mu.Lock()
	defer p.unlock()
	if !in.servedSince(l.sentAt) {
		return false // the application may have stopped
	}
	elsewhere := in.room() || in.hasExclusiveIdle() || len(p.instances) > 1
	if p.config().KeepAlive == KeepAuto && in.keep.state != keepRefused {
		p.stopKeeping(in, "a request on a kept connection was not read")
	}
	return elsewhere
}
