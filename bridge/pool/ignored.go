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
var ErrIgnored = errors.New("pool: the application has not read a request on a kept connection")

// Ignored reports whether the application has read nothing of the request, which was sent
// whole on a kept connection. Where that is not known, it does not. It may have stopped
// altogether: Elsewhere begins to find that out.
func (l *Lease) Ignored() bool {
	c := l.c
	if l.fresh || l.Shared() || c.kernel == nil || l.ch.heard() != l.base {
		return false
	}
	n, err := c.kernel.Bytes()
	return err == nil && n > 0 && int64(n) >= c.written.Load() // the end of the request before it may be left, too
}

// Elsewhere has it found out whether the application serves others while it ignores the
// request: it is asked on a new connection, or on an unused one if there is no room.
func (l *Lease) Elsewhere() {
	p, in := l.p, l.c.inst
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed, in.habits.noQueries, in.standing != serving, in.servedBeside(l.sentAt), in.count[dialing]+in.count[asked] > 0:
	case in.room():
		gone := make(chan struct{})
		close(gone)
		p.begin(&dial{ctx: in.ctx, conn: &conn{inst: in}, w: &waiter{done: gone, settled: true}, asks: true})
	default:
		p.askUnused(in)
	}
}

// askUnused asks on an idle connection, if there is one, unless it was asked already.
func (p *Pool) askUnused(in *instance) {
	c := in.kept(Demand{})
	if c == nil {
		return
	}
	if _, isAsked := c.unread.(*answerDue); isAsked {
		return
	}
	p.unpark(c)
	p.move(c, asked)
	c.interrupted.Store(false) // until stopAsking
	p.tasks.Go(func() {
		m := c.ask(p.querier(), time.Now().Add(askKeptWithin))
		var victims []*conn
		p.mu.Lock()
		switch {
		case m == notAtAll && p.config().WorksOn && in.standing != removed:
			p.detain(c) // its process is at work, too
		case m == hungUp || m == notAtAll:
			p.move(c, closing)
			victims = []*conn{c}
		default:
			in.heardAt = time.Now()
			victims = p.handBack(c)
		}
		p.mu.Unlock()
		p.closeAll(victims)
	})
}

// servedBeside reports whether the application has done something for somebody since a
// time.
func (in *instance) servedBeside(t time.Time) bool {
	return in.served.After(t) || in.heardAt.After(t)
}

// Forsake gives up a request that was ignored while others were served: it is to be sent
// again elsewhere, if it is idempotent, and connections are not kept any more where that is
// found out. It returns nil if nobody was served, or there is nowhere else to send it.
func (l *Lease) Forsake() *Error {
	if !l.noteIgnored() {
		return nil
	}
	l.dead = true
	return &Error{Op: "read", Addr: l.Addr(), Err: ErrIgnored, Replay: ReplayIdempotent, Silence: true}
}

// NoteIgnored is Forsake for a request that must not be sent again: it is waited for.
func (l *Lease) NoteIgnored() { l.noteIgnored() }

// noteIgnored has no more connections kept, if that is found out, and reports whether the
// request should be sent elsewhere.
func (l *Lease) noteIgnored() bool {
	p, in := l.p, l.c.inst
	p.mu.Lock()
	if !in.servedBeside(l.sentAt) {
		p.mu.Unlock()
		return false // it may have stopped
	}
	elsewhere := in.room() || in.ownIdle() || len(p.instances) > 1
	var victims []*conn
	if p.config().KeepAlive == KeepAuto && in.keep.state != refused {
		victims = p.giveUpKeeping(in, "a request on a kept connection was not read")
	}
	p.mu.Unlock()
	p.closeAll(victims)
	return elsewhere
}
