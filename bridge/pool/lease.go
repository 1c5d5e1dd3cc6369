package pool

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// channel carries one request and its answer: a connection of its own, or a stream of a
// shared one.
type channel interface {
	Begin(r *upstream.Request, unrunBelow int) // announces a request; see upstream.Codec.AppendHead
	Send(b []byte, deadline time.Time) error
	Next(deadline time.Time) (upstream.Event, error)
	Interrupt()
	Resume()
	Abort()              // asks the application to stop, where that is possible without closing the connection
	Received() int64     // grows with every part of the answer
	Unrun() bool         // the application cannot have run the request: it was sent too little of it
	Clean() bool         // all that was received belongs to returned events
	Leave(answered bool) // ends the use; answered: the application has ended the request
}

// listenFor is how long a connection that the application may close is given to be
// closed before it is sent a request.
const guardTime = 10 * time.Millisecond

// Lease is one connection, or a part of one, lent to one request. Begin sends the request,
// Body the rest of its body, and Next receives the answer. Body and Next may run at the
// same time as each other, and Interrupt as either; Release comes after them, once. An
// Interrupt that comes later still does nothing.
type Lease struct {
	p     *Pool
	c     *conn
	ch    channel
	id    uint16
	fresh bool
	// careful: the connection may be closed, because the application is full or does
	// not keep connections, and the request must not have been sent then.
	guarded     bool
	base        int64     // ch.heard() when the lease began
	noKeepAlive bool      // the connection is closed after the request (Config.KeepAlive, upstream.Event.Close)
	sentAt      time.Time // when writing began

	mu       sync.Mutex // guards what others than the reading side touch
	sent     bool       // everything the application is owed was written
	released bool       // the connection is the pool's again

	spoke     bool // there was output
	ended     bool // the end of the answer came
	dead      bool // a read failed or what came makes no sense
	abandoned bool // it counts as a zombie; guarded by the pool's mutex
}

// Fresh reports whether the connection was dialled for this lease, so that
// nothing can have been wrong with it before.
func (l *Lease) Fresh() bool { return l.fresh }

// Shared reports whether the connection carries other requests, too. It lives on
// when this one is given up.
func (l *Lease) Shared() bool { return l.c.mux != nil }

// Addr is the instance's address as it was configured.
func (l *Lease) Addr() string { return l.c.inst.Addr }

// Begin sends a request and the beginning of its body: the whole body if last. It encodes
// them in the memory of buf, and returns that, or larger memory. A *upstream.RequestError
// means that the request cannot be encoded, and nothing was sent. Any other error is an
// *Error whose Replay is ReplayNever: the application may have answered all the same, so
// call Next, and go by its result. On a shared connection a request is only queued.
func (l *Lease) Begin(buf []byte, r *upstream.Request, body []byte, last bool) ([]byte, error) {
	codec := l.p.config().Codec
	buf, unrunBelow, err := codec.AppendHead(buf[:0], l.id, !l.noKeepAlive, r)
	if err != nil {
		return buf, err
	}
	if last || len(body) > 0 {
		buf = codec.AppendBody(buf, l.id, body, last)
	}
	return buf, l.begin(r, buf, unrunBelow, last)
}

// begin sends r, encoded.
func (l *Lease) begin(r *upstream.Request, encoded []byte, unrunBelow int, whole bool) error {
	now := time.Now()
	l.sentAt = now
	l.ch.Begin(r, unrunBelow)
	if l.guarded && len(encoded) > unrunBelow {
		if err := l.write(encoded[:unrunBelow], now, false); err != nil {
			return err
		}
		if !l.c.listen(now.Add(guardTime)) {
			return &Error{Op: "write", Addr: l.Addr(), Err: errTurnedAway, Fresh: l.fresh}
		}
		encoded, now = encoded[unrunBelow:], time.Now()
	}
	return l.write(encoded, now, whole)
}

// Body sends a part of the body: the n bytes of buf after the first that BodyOverhead
// returns. They are encoded in place if buf has the capacity for what comes after them.
// Last says that no other part follows. The error is that of Begin. A connection on which
// a request was not sent whole is never used again.
func (l *Lease) Body(buf []byte, n int, last bool) error {
	codec := l.p.config().Codec
	before, _ := codec.BodyOverhead()
	return l.write(codec.AppendBody(buf[:0], l.id, buf[before:before+n], last), time.Now(), last)
}

// BodyOverhead returns how many bytes Body needs before and after a part of the body.
func (l *Lease) BodyOverhead() (before, after int) { return l.p.config().Codec.BodyOverhead() }

// write sends bytes of the request, which are the last or not.
func (l *Lease) write(b []byte, now time.Time, last bool) error {
	var deadline time.Time
	if timeout := l.p.config().SendTimeout; timeout > 0 {
		deadline = now.Add(timeout)
	}
	if err := l.ch.Send(b, deadline); err != nil {
		return &Error{Op: "write", Addr: l.Addr(), Err: err, Fresh: l.fresh}
	}
	if last {
		l.mu.Lock()
		l.sent = true
		l.mu.Unlock()
	}
	return nil
}

// Next waits for the application's next output, or the end of its answer, until
// deadline (zero: for ever). Its error is an *Error; a timeout is
// os.ErrDeadlineExceeded inside one, and Next may be called again after it.
func (l *Lease) Next(deadline time.Time) (none upstream.Event, err error) {
	ev, err := l.ch.Next(deadline)
	if err != nil {
		l.dead = !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, ErrInterrupted)
		return none, l.fail("read", err)
	}
	if l.fresh && !l.spoke && !l.Shared() {
		l.p.noteAnswering(l.c)
	}
	if ev.Kind != upstream.End {
		l.spoke = l.spoke || ev.Kind == upstream.Output && len(ev.Data) > 0
		return ev, nil
	}
	l.ended, l.noKeepAlive = true, l.noKeepAlive || ev.Close
	switch {
	case ev.Err == nil:
		return ev, nil
	case errors.Is(ev.Err, upstream.ErrOverloaded):
		l.p.foundFull(l.c.inst)
		return none, l.refuse(ev.Err)
	case errors.Is(ev.Err, upstream.ErrCantMultiplex):
		if l.Shared() {
			l.p.demote(l.c)
		} else {
			l.dead = true
		}
		return none, l.refuse(ev.Err)
	case errors.Is(ev.Err, upstream.ErrUnknownRole):
		return none, &Error{Op: "answer", Addr: l.Addr(), Err: ev.Err, Fresh: l.fresh}
	}
	l.dead = true
	return none, l.fail("read", ev.Err)
}

// Interrupt makes Begin, Body and Next return ErrInterrupted, now and from now on. It
// may be called at any time, and more than once.
func (l *Lease) Interrupt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.released {
		return // the connection may be another lease's
	}
	l.ch.Interrupt()
}

// Resume undoes Interrupt, for an owner that has stopped those it interrupted
// and reads on.
func (l *Lease) Resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ch.Resume()
}

// AtWork reports whether the application was sent the whole request and has not
// ended its answer, so that its worker is taken for as long as it likes.
func (l *Lease) AtWork() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent && !l.dead && !l.ended
}

// Spoke reports whether the application has begun its answer.
func (l *Lease) Spoke() bool { return l.spoke }

// MarkAbandoned counts the lease as a zombie: nobody waits for the answer, and the
// application works on. On a shared connection, which cannot be closed to say so,
// the application is asked to stop.
func (l *Lease) MarkAbandoned() {
	l.ch.Abort()
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	if !l.abandoned {
		l.abandoned = true
		l.c.inst.zombies++
	}
}

// Release gives the connection back: to the pool if it is in order, else to be
// closed. The worker counts as busy until then.
func (l *Lease) Release() {
	l.mu.Lock()
	if l.released {
		l.mu.Unlock()
		panic("pool: Lease released twice")
	}
	l.released = true
	l.mu.Unlock()
	if l.abandoned {
		l.p.mu.Lock()
		l.c.inst.zombies--
		l.p.mu.Unlock()
	}
	inOrder := l.ended && l.sent && !l.dead && l.ch.Clean()
	l.ch.Leave(inOrder)
	if inOrder {
		l.noKeepAlive = l.noKeepAlive || !l.p.prepareReuse(l.c)
		l.p.keep(l)
	} else {
		l.p.reject(l.c)
	}
}

// refuse is the error for a request that the application ended without running it.
func (l *Lease) refuse(why error) *Error {
	if l.spoke { // it ran, whatever it says now
		return &Error{Op: "answer", Addr: l.Addr(), Err: why, Fresh: l.fresh}
	}
	full := errors.Is(why, upstream.ErrOverloaded)
	return &Error{Op: "answer", Addr: l.Addr(), Err: why, Fresh: l.fresh, Replay: ReplaySafe, Full: full, Serving: full}
}

// fail says what an error means for the request.
func (l *Lease) fail(op string, err error) *Error {
	if errors.Is(err, net.ErrClosed) && l.p.isRemoved(l.c.inst) {
		err = ErrRemoved // nobody else closes a connection under its lease
	}
	e := &Error{Op: op, Addr: l.Addr(), Err: err, Fresh: l.fresh, Silence: l.ch.Received() == l.base}
	unrun := l.ch.Unrun()
	if errors.Is(err, ErrNoMemory) && unrun {
		e.Replay, e.Full, e.Serving = ReplaySafe, true, true
		return e
	}
	if errors.Is(err, ErrNotAccepted) || errors.Is(err, ErrRemoved) && e.Silence && unrun {
		e.Replay = ReplaySafe
		return e
	}
	gone := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	if gone {
		l.p.noteEnd(l.c.inst)
	}
	gone = gone || l.dead && l.Shared() && unrun
	if !gone || !e.Silence {
		return e
	}
	e.Full = l.full(err, unrun)
	switch {
	case unrun:
		e.Replay = ReplaySafe
	case e.Full, !l.fresh:
		e.Replay = ReplayIdempotent
	}
	switch {
	case e.Full && unrun:
		e.Serving = l.p.foundFull(l.c.inst)
	case e.Full:
		e.Serving = l.p.suspectFull(l.c.inst)
	}
	switch {
	case !l.fresh:
		l.p.noteClosedIdle(l.c)
	case l.c.proved && !l.Shared():
		l.p.noteQueryOffends(l.c.inst)
	}
	return e
}

// full tells a server that accepts and closes because it is full, from one
// that has died. One that was stopped, or has no processor, may do so late.
func (l *Lease) full(err error, unrun bool) bool {
	in := l.c.inst
	if !l.fresh || l.Shared() || l.c.proved || !l.p.config().ClosesWhenFull || in.Alive != nil && !in.Alive() {
		return false
	}
	return unrun || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
