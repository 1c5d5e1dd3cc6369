package pool

import "errors"

// A request on a kept connection may not be read at all: the application works on after
// its last answer, or never reads a connection again that it has kept. That looks like a
// page that takes its time, unless the kernel tells.

// ErrIgnored means that the application has not read anything of a request on a kept
// connection for a while. It may still do, so the request may run when it was sent again.
var ErrIgnored = errors.New("pool: the application has not read a request on a kept connection")

// Ignored reports whether the application has read nothing of the request, which was sent
// whole on a kept connection. Where that is not known, it does not.
func (l *Lease) Ignored() bool {
	c := l.c
	if l.fresh || l.Shared() || c.kernel == nil || l.ch.heard() != l.base {
		return false
	}
	n, err := c.kernel.Bytes()
	return err == nil && n > 0 && int64(n) >= c.written.Load() // the end of the request before it may be left, too
}

// Forsake gives up a request that was ignored: it is to be sent again elsewhere, if it is
// idempotent, and connections are not kept any more where that is found out. It returns
// nil if there is nowhere else to send it.
func (l *Lease) Forsake() *Error {
	p, in := l.p, l.c.inst
	p.mu.Lock()
	elsewhere := in.room() || in.ownIdle() || len(p.instances) > 1
	victims := p.ignored(in)
	p.mu.Unlock()
	p.closeAll(victims)
	if !elsewhere {
		return nil
	}
	l.dead = true
	return &Error{Op: "read", Addr: l.Addr(), Err: ErrIgnored, Replay: ReplayIdempotent, Silence: true}
}

// NoteIgnored is Forsake for a request that must not be sent again: it is waited for.
func (l *Lease) NoteIgnored() {
	l.p.mu.Lock()
	victims := l.p.ignored(l.c.inst)
	l.p.mu.Unlock()
	l.p.closeAll(victims)
}

// ignored has no more connections kept if that is found out.
func (p *Pool) ignored(in *instance) (victims []*conn) {
	if p.config().KeepAlive == KeepAuto && in.keep.state != refused {
		victims = p.giveUpKeeping(in, "a request on a kept connection was not read")
	}
	return victims
}
