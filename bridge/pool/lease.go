package pool

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// Lease is one connection lent to one request. Write and Next may run at the
// same time as each other, and Interrupt as either; Release comes after them,
// once. An Interrupt that comes later still does nothing.
type Lease struct {
	p     *Pool
	c     *conn
	fresh bool

	mu       sync.Mutex // guards what others than the reading side touch
	written  int64      // bytes the kernel took
	sent     bool       // everything the application is owed was written
	released bool       // the connection is the pool's again

	base  int64 // c.records.total when the lease began
	spoke bool  // it has said something on STDOUT
	ended bool  // END_REQUEST came, complete
	dead  bool  // a read failed or what came makes no sense
}

// RequestID is the id the request's records must carry.
func (l *Lease) RequestID() uint16 { return l.c.id }

// KeepConn reports whether the application is to be asked to keep the connection
// open (FCGI_KEEP_CONN).
func (l *Lease) KeepConn() bool { return !l.p.cfg.OneRequest }

// Fresh reports whether the connection was dialled for this lease, so that
// nothing can have been wrong with it before.
func (l *Lease) Fresh() bool { return l.fresh }

// Addr is the instance's address as it was configured.
func (l *Lease) Addr() string { return l.c.inst.Addr }

// Write sends records. Its error is an *Error, and what it says of replay is
// always never: the application may have answered all the same, so read on. What
// Next returns then tells.
func (l *Lease) Write(records []byte) error {
	var deadline time.Time
	if l.p.cfg.SendTimeout > 0 {
		deadline = time.Now().Add(l.p.cfg.SendTimeout)
	}
	n, err := l.c.write(records, deadline)
	l.mu.Lock()
	l.written += int64(n)
	l.mu.Unlock()
	if err == nil {
		return nil
	}
	return &Error{Op: "write", Addr: l.Addr(), Err: err, Fresh: l.fresh}
}

// SendDone records that the request was sent whole, its end of STDIN included.
// A connection on which it was not is never used again.
func (l *Lease) SendDone() {
	l.mu.Lock()
	l.sent = true
	l.mu.Unlock()
}

// Next waits for the application's next output, or the end of its answer, until
// deadline (zero: for ever). Its error is an *Error; a timeout is
// os.ErrDeadlineExceeded inside one, and Next may be called again after it.
func (l *Lease) Next(deadline time.Time) (Event, error) {
	ev, err := l.c.next(deadline)
	if err != nil {
		l.dead = !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, ErrInterrupted)
		e := l.fail("read", err)
		if !l.fresh && e.Replay != ReplayNever {
			l.p.noteRetiring(l.c.inst)
		}
		return Event{}, e
	}
	if ev.Type != fcgi.TypeEndRequest {
		l.spoke = l.spoke || ev.Type == fcgi.TypeStdout
		return ev, nil
	}
	l.ended = true
	refused := ReplaySafe
	if l.spoke {
		refused = ReplayNever // it ran, whatever it says now
	}
	switch ev.End.ProtocolStatus {
	case fcgi.StatusRequestComplete:
		return ev, nil
	case fcgi.StatusOverloaded:
		return Event{}, &Error{Op: "answer", Addr: l.Addr(), Err: ErrOverloaded, Replay: refused, Fresh: l.fresh}
	case fcgi.StatusCantMpxConn:
		l.dead = true
		return Event{}, &Error{Op: "answer", Addr: l.Addr(), Err: ErrCantMultiplex, Replay: refused, Fresh: l.fresh}
	case fcgi.StatusUnknownRole:
		return Event{}, &Error{Op: "answer", Addr: l.Addr(), Err: ErrUnknownRole, Fresh: l.fresh}
	}
	l.dead = true
	return Event{}, l.fail("read", &fcgi.FormatError{What: "END_REQUEST", Why: ev.End.ProtocolStatus.String()})
}

// Interrupt makes Write and Next return ErrInterrupted, now and from now on. It
// may be called at any time, and more than once.
func (l *Lease) Interrupt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.released {
		return // the connection may be another lease's
	}
	l.c.interrupted.Store(true)
	_ = l.c.SetDeadline(time.Unix(1, 0)) // fails only if the connection is closed already
}

// Resume undoes Interrupt, for an owner that has stopped those it interrupted
// and reads on.
func (l *Lease) Resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.c.interrupted.Store(false)
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
// application works on.
func (l *Lease) MarkAbandoned() { l.p.markAbandoned(l.c) }

// Release gives the connection back: to the pool if it is in order, else to be
// closed. The worker counts as busy until then.
func (l *Lease) Release() {
	l.mu.Lock()
	if l.released {
		l.mu.Unlock()
		panic("pool: Lease released twice")
	}
	l.released = true
	keep := l.ended && l.sent && !l.dead && l.c.records.clean()
	l.mu.Unlock()
	l.p.release(l.c, keep)
}

func (l *Lease) fail(op string, err error) *Error {
	e := &Error{Op: op, Addr: l.Addr(), Err: err, Fresh: l.fresh, Silence: l.c.records.total == l.base}
	l.mu.Lock()
	written := l.written
	l.mu.Unlock()
	gone := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	switch {
	case !gone || !e.Silence:
		e.Replay = ReplayNever
	case written == 0:
		e.Replay = ReplaySafe
	case !l.fresh:
		e.Replay = ReplayIdempotent
	}
	return e
}
