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
	Buffered() bool                   // reports whether Next has something to return without waiting
	TryNext() (upstream.Event, error) // Next without a wait: Kind is 0 if nothing has come
	Notify(f *func())                 // f is called when there is something for TryNext, in any goroutine; nil: no longer
	Interrupt()
	Resume()
	Abort()              // asks the application to stop, where that is possible without closing the connection
	Received() int64     // grows with every part of the answer
	Unrun() bool         // the application cannot have run the request: it was sent too little of it
	Clean() bool         // all that was received belongs to returned events
	Leave(answered bool) // ends the use; answered: the application has ended the request
}

// guardTime is how long a guarded send waits for the application to close the connection
// before it sends the request.
const guardTime = 10 * time.Millisecond

// Lease is a connection, or a stream of a shared one, lent to one request. Begin sends the
// request, Body the rest of its body, and Next receives the answer. Next may run at the same
// time as Begin and Body, and Interrupt at any time. Release comes last, once.
type Lease struct {
	p     *Pool
	c     *conn
	ch    channel
	id    uint16
	fresh bool
	// guarded: the application may close the connection, because it is full or does not keep
	// connections. The request is sent only after it has had guardTime to do so.
	guarded     bool
	base        int64     // ch.Received() when the lease began
	noKeepAlive bool      // the connection is closed after the request (Config.KeepAlive, upstream.Event.Close)
	sentAt      time.Time // when Begin was called

	mu       sync.Mutex // guards what is used by others than the reader of the answer
	sent     bool       // the whole request was sent
	released bool       // Release was called

	spoke     bool // there was output
	ended     bool // the end of the answer has come
	dead      bool // the connection cannot be used any more
	abandoned bool // it counts as a zombie; guarded by the pool's mutex
}

// Fresh reports whether the connection was dialled for this request.
func (l *Lease) Fresh() bool { return l.fresh }

// Shared reports whether the connection carries other requests, too. It stays open when this
// request is given up.
func (l *Lease) Shared() bool { return l.c.mux != nil }

// Addr is the address of the instance as it was configured.
func (l *Lease) Addr() string { return l.c.inst.Addr }

// Begin sends a request and the first part of its body; last says that this is the whole
// body. It encodes them in the memory of buf, which it returns, or larger memory. If the
// request cannot be encoded, the error is a *upstream.RequestError, and nothing was sent.
// Any other error is an *Error with ReplayNever, because the application may have answered:
// call Next, and act on its result. On a shared connection the request is only queued.
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

// begin sends an encoded request.
func (l *Lease) begin(r *upstream.Request, encoded []byte, unrunBelow int, whole bool) error {
	now := time.Now()
	l.sentAt = now
	l.ch.Begin(r, unrunBelow)
	if n := l.p.config().Codec.Preamble(); l.guarded && len(encoded) > n {
		if err := l.write(encoded[:n], now, false); err != nil {
			return err
		}
		if !l.c.listen(now.Add(guardTime)) {
			if !l.fresh && l.c.early.Kind == upstream.Output {
				l.c.unasked, l.base = true, l.ch.Received() // it is as if the connection had ended
			}
			return &Error{Op: "write", Addr: l.Addr(), Err: errTurnedAway, Fresh: l.fresh}
		}
		encoded, now = encoded[n:], time.Now()
	}
	return l.write(encoded, now, whole)
}

// Body sends a part of the body: n bytes of buf, at the offset that BodyOverhead returns.
// They are encoded in place if the capacity of buf has room for what follows them. Last says
// that no part follows. Errors are those of Begin. A connection on which a request was not
// sent whole is not used again.
func (l *Lease) Body(buf []byte, n int, last bool) error {
	codec := l.p.config().Codec
	before, _ := codec.BodyOverhead()
	return l.write(codec.AppendBody(buf[:0], l.id, buf[before:before+n], last), time.Now(), last)
}

// BodyOverhead returns how many bytes Body needs before and after a part of the body.
func (l *Lease) BodyOverhead() (before, after int) { return l.p.config().Codec.BodyOverhead() }

// write sends encoded bytes; last says that the request is complete.
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

// Next waits for the next output or the end of the answer, until deadline; zero: for ever.
// Its error is an *Error. After a timeout, which is os.ErrDeadlineExceeded inside one, Next
// may be called again.
func (l *Lease) Next(deadline time.Time) (upstream.Event, error) {
	return l.came(l.ch.Next(deadline))
}

// came notes what has come of the answer, or why nothing has.
func (l *Lease) came(ev upstream.Event, err error) (none upstream.Event, _ error) {
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
	if !l.Shared() {
		l.c.setKeepFor(ev.KeepFor)
	}
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

// Buffered reports whether Next has something to return without waiting. It is called by who calls
// Next. What the last event refers to stays valid.
func (l *Lease) Buffered() bool { return l.ch.Buffered() }

// Interrupt has Begin, Body and Next return ErrInterrupted, now and later. It may be called
// at any time, even after Release.
func (l *Lease) Interrupt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.released {
		return // the connection may belong to another lease
	}
	l.ch.Interrupt()
}

// Resume undoes Interrupt, when the calls that were interrupted have returned.
func (l *Lease) Resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ch.Resume()
}

// AtWork reports whether the application was sent the whole request and has not ended its
// answer: its worker is taken.
func (l *Lease) AtWork() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent && !l.dead && !l.ended
}

// Spoke reports whether the application has begun its answer.
func (l *Lease) Spoke() bool { return l.spoke }

// Socket returns the socket of the connection, and its two ends, to ask the system about it.
// It is nil if the connection is no socket. It must not be read, written or closed.
func (l *Lease) Socket() (raw syscall.RawConn, local, remote net.Addr) {
	sc, ok := l.c.Conn.(syscall.Conn)
	if !ok {
		return nil, nil, nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, nil, nil // it is closed
	}
	return raw, l.c.Conn.LocalAddr(), l.c.Conn.RemoteAddr()
}

// MarkAbandoned counts the request as a zombie: nobody waits for the answer, and the
// application works on. On a shared connection, the application is asked to stop.
func (l *Lease) MarkAbandoned() {
	l.ch.Abort()
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	if !l.abandoned {
		l.abandoned = true
		l.c.inst.zombies++
	}
}

// Release gives the connection back. It is kept if it is in order, and closed otherwise. The
// worker counts as busy until then.
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
	if l.c.poll.more || l.c.poll.ended {
		l.c.poll.came.Store(true)
		l.c.poll.more, l.c.poll.ended = false, false
	}
	l.ch.Notify(nil)
	inOrder := l.ended && l.sent && !l.dead && l.ch.Clean()
	l.ch.Leave(inOrder)
	if inOrder {
		l.noKeepAlive = l.noKeepAlive || !l.p.prepareReuse(l.c)
		l.p.keep(l)
	} else {
		l.p.reject(l.c)
	}
}

// refuse returns the error for a request that the application has not run.
func (l *Lease) refuse(why error) *Error {
	if l.spoke { // it has run, whatever it says now
		return &Error{Op: "answer", Addr: l.Addr(), Err: why, Fresh: l.fresh}
	}
	full := errors.Is(why, upstream.ErrOverloaded)
	return &Error{Op: "answer", Addr: l.Addr(), Err: why, Fresh: l.fresh, Replay: ReplaySafe, Full: full, Serving: full}
}

// fail returns the error for a failed read, and what it means for the request.
func (l *Lease) fail(op string, err error) *Error {
	if errors.Is(err, net.ErrClosed) && l.p.isRemoved(l.c.inst) {
		err = ErrRemoved // only Remove closes a leased connection
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
	case e.Full, !l.fresh, errors.Is(err, syscall.ECONNRESET) && !l.p.config().Codec.KeepAlive():
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

// full reports whether the application has closed the connection because it is full, rather
// than because it has ended. An application that was stopped, or has no processor, may close
// it late.
func (l *Lease) full(err error, unrun bool) bool {
	in := l.c.inst
	if !l.fresh || l.Shared() || l.c.proved || !l.p.config().ClosesWhenFull || in.Alive != nil && !in.Alive() {
		return false
	}
	return unrun || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
