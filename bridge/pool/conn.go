package pool

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/bridge/pool/mux"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// connState is where a connection is in its life. Every one counts against its
// instance's budget until it is gone.
type connState uint8

const (
	none     connState = iota // not in the budget: not yet dialled, or closed
	dialing                   // being dialled for a waiter
	busy                      // leased
	idle                      // kept
	querying                  // kept, perhaps: the application is asked on it (inquire)
	atWork                    // kept, and its process works on after its answer (setAside)
	closing                   // being closed
	connStates
)

// conn is one connection. Its first part belongs to the pool's mutex, interrupted, doubted
// and written are atomic, everything else belongs to whoever owns it: the dialler, the
// lease or, while idle, the pool.
type conn struct {
	inst        *instance
	state       connState
	noMore      bool // it is multiplexed and takes no more requests
	proved      bool // somebody reads it: the application has answered a question on it
	evicted     bool // it is closed to make room, and nothing is known to be wrong with it
	answered    bool // the application has answered something on it; counted in observed.answering
	awaiting    bool // its first request has it, and nothing has come on it; counted in queue.unheard
	noKeepAlive bool // it is closed after the request that has it
	bodies      bool // the requests that share it have bodies
	streams     int  // requests on it now
	uses        int  // requests it was given to, ever
	ended       int  // requests that were answered to their end on it
	idleSince   time.Time
	usedAt      time.Time // when it was given to its first request, if that has it to itself
	madeAt      time.Time // if it is multiplexed

	net.Conn
	mux         *mux.Conn // nil if requests have it to themselves; then the rest is not used
	interrupted atomic.Bool
	recheck     atomic.Bool  // it may not have been accepted (Fail)
	id          uint16       // of the current request
	unrunBelow  int64        // of it (upstream.Codec.AppendHead)
	written     atomic.Int64 // bytes of it that the kernel took

	unread     Unread          // tells what the application has not read; nil if nobody can
	kernel     Unread          // Instance.Unread's; nil if it cannot tell
	isDirect   bool            // what that tells is true of the application itself
	raw        syscall.RawConn // nil if the connection is not a socket
	peek       func(fd uintptr)
	quiet      bool           // peek's result
	early      upstream.Event // came before the request was sent; its Kind is 0 if nothing did
	failed     error          // what follows after it; nil if that is not known
	peerClosed bool           // the application has closed its side
	queried    bool           // the application was asked something, and may reply late
	in         upstream.Buffer
}

// readBuffer is the size of a connection's read buffer, in bytes. There are at most
// Workers of them per instance.
const readBuffer = 32 << 10

// attach gives c a connection that was dialled, to ask on or to open.
func (c *conn) attach(nc net.Conn, codec upstream.Codec) {
	c.Conn, c.queried = nc, false
	c.in.Reset(codec.NewDecoder(), readBuffer)
}

// open prepares a connection that was attached for requests that have it to themselves.
func (c *conn) open() {
	if c.inst.Unread != nil {
		c.kernel = c.inst.Unread(c.Conn)
		c.unread = c.kernel
	}
	sc, ok := c.Conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	c.raw = raw
	c.peek = func(fd uintptr) { c.quiet = wouldBlock(fd) }
}

// usable reports whether an idle connection still is what it was: open, and
// without a byte to read, but for the rest of an answer to a question.
func (c *conn) usable() bool {
	for c.failed == nil {
		quiet := c.raw == nil || c.isQuiet()
		if quiet && c.in.Clean() {
			return true
		}
		if !c.queried || !c.takesAnswer(quiet) {
			return false
		}
	}
	return false
}

// isQuiet reports whether there is nothing to read, nor an end. The connection is a socket.
func (c *conn) isQuiet() bool {
	c.quiet = false
	// Control, not Read: the last request's deadline may have passed.
	return c.raw.Control(c.peek) == nil && c.quiet
}

// takesAnswer drops what has come of answers to questions, and reports whether nothing
// else has: Go's net/http/fcgi ends each with an empty one. Unless it is quiet, there is
// something to be read.
func (c *conn) takesAnswer(quiet bool) bool {
	if !quiet {
		if c.SetReadDeadline(time.Time{}) != nil {
			return false
		}
		n, _ := c.Read(c.in.Space())
		if c.in.Filled(n); n == 0 {
			return false
		}
	}
	ev, err := c.take()
	return ev.Kind == 0 && err == nil && c.in.Clean()
}

var errUnexpectedReply = &upstream.FormatError{Err: errors.New("pool: a reply from the application, which was not asked anything")}

// take returns the next event of the current request, and drops late replies.
func (c *conn) take() (upstream.Event, error) {
	for {
		ev, err := c.in.Next()
		switch {
		case ev.Kind != upstream.Reply:
			return ev, err
		case !c.queried:
			return upstream.Event{}, errUnexpectedReply
		}
	}
}

// reset makes the connection ready for its next request.
func (c *conn) reset() {
	c.interrupted.Store(false)
	c.written.Store(0)
	c.id = uint16((c.uses-1)%65535) + 1
}

// Next returns the next event of the current request. Reads end at deadline; zero means
// never.
func (c *conn) Next(deadline time.Time) (none upstream.Event, err error) {
	if ev := c.early; ev.Kind != 0 {
		c.early = none
		return ev, nil
	}
	for {
		ev, err := c.take()
		if ev.Kind != 0 || err != nil {
			return ev, err
		}
		if c.failed != nil {
			return none, c.failed
		}
		if err := c.SetReadDeadline(deadline); err != nil {
			return none, err
		}
		// Interrupt sets the flag first and the deadline second, so one of the two
		// is seen here whatever the order.
		if c.interrupted.Load() {
			return none, ErrInterrupted
		}
		if c.recheck.Swap(false) && c.notAccepted() {
			return none, ErrNotAccepted
		}
		n, err := c.Read(c.in.Space())
		c.in.Filled(n)
		switch {
		case n > 0:
		case c.interrupted.Load():
			return none, ErrInterrupted
		case !errors.Is(err, os.ErrDeadlineExceeded) || !deadline.IsZero() && !time.Now().Before(deadline):
			return c.ending(c.reason(err))
		} // else it was doubted meanwhile
	}
}

// ending returns what the end of the connection means: the end of the answer, or an error.
func (c *conn) ending(err error) (upstream.Event, error) {
	if err == io.EOF {
		if ev := c.in.EOF(); ev.Kind != 0 {
			return ev, nil
		}
	}
	return upstream.Event{}, err
}

// reason returns io.EOF only if the application had read what it was sent.
func (c *conn) reason(err error) error {
	c.peerClosed = c.peerClosed || !isTimeout(err)
	if err != io.EOF || c.raw == nil {
		return err
	}
	var pending error
	if c.raw.Control(func(fd uintptr) { pending = pendingError(fd) }) == nil && pending != nil {
		return pending
	}
	return err
}

// listen waits until deadline for the application to say or end something before
// it was sent the request, and reports whether it did not. Next returns what it was.
func (c *conn) listen(deadline time.Time) (quiet bool) {
	if c.SetReadDeadline(deadline) != nil {
		return true // the write will tell
	}
	for !c.interrupted.Load() {
		n, err := c.Read(c.in.Space())
		c.in.Filled(n)
		if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if n == 0 {
			c.failed = c.reason(err)
			return c.interrupted.Load()
		}
		c.early, c.failed = c.take()
		if c.early.Kind != 0 || c.failed != nil {
			return false
		}
	}
	return true
}

// Interrupt makes Next and Send return ErrInterrupted.
func (c *conn) Interrupt() {
	c.interrupted.Store(true)
	_ = c.SetDeadline(time.Unix(1, 0)) // fails only if the connection is closed already
}

func (c *conn) Resume() { c.interrupted.Store(false) }

// heard is how many bytes have come since the connection was made.
func (c *conn) Received() int64 { return c.in.Received() }

// Clean reports whether nothing is left over of the current request.
func (c *conn) Clean() bool { return c.early.Kind == 0 && c.failed == nil && c.in.Clean() }

// close closes the connection. One that is multiplexed has ended when it returns.
func (c *conn) close() error {
	if c.mux != nil {
		c.mux.Close()
		return nil
	}
	return c.Close()
}

// cut ends the connection under those who use it.
func (c *conn) cut(why error) {
	if c.mux != nil {
		c.mux.Cut(why)
		return
	}
	_ = c.Close() // it may have been closed already
}

func (c *conn) Begin(r *upstream.Request, unrunBelow int) {
	c.unrunBelow = int64(unrunBelow)
	c.in.Begin(c.id, r)
}

func (c *conn) Send(b []byte, deadline time.Time) error {
	if err := c.SetWriteDeadline(deadline); err != nil {
		return err
	}
	if c.interrupted.Load() {
		return ErrInterrupted
	}
	n, err := c.Conn.Write(b)
	c.written.Add(int64(n))
	if err != nil && c.interrupted.Load() {
		return ErrInterrupted
	}
	return err
}

func (c *conn) Abort() {}

func (c *conn) Leave(bool) {}

func (c *conn) Unrun() bool { return c.written.Load() <= c.unrunBelow }

// lingerFor is how long an application may take to close its side after END.
const lingerTimeout = time.Second

// linger waits until the application closes its side, because its worker is taken
// until then, and reports whether it neither did nor said anything. Some wait for
// ours to be closed, too, so it is not for long.
func (c *conn) linger(d time.Duration) (quiet bool) {
	if c.SetReadDeadline(time.Now().Add(d)) != nil {
		return false
	}
	quiet = true
	for {
		c.in.Discard()
		n, err := c.Read(c.in.Space())
		quiet = quiet && n == 0
		if err != nil {
			c.peerClosed = err == io.EOF
			return quiet && errors.Is(err, os.ErrDeadlineExceeded)
		}
	}
}
