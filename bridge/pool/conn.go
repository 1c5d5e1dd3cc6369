package pool

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/socket"
	"github.com/sluice-proxy/sluice/bridge/pool/mux"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// connState is the state of a connection. In every state but none, the connection counts
// against its instance's budget.
type connState uint8

const (
	none     connState = iota // not dialled yet, or closed
	dialing                   // being dialled
	busy                      // leased
	idle                      // kept
	querying                  // a query is sent on it (startQuery, queryIdle)
	atWork                    // kept, and its process works on after its answer (holdAtWork)
	closing                   // being closed
	connStates
)

// conn is one connection. The fields before net.Conn are guarded by the pool's mutex, the
// atomic ones may be used at any time. All others belong to the owner of the connection: the
// dial, the lease or, while it is idle, whoever holds the mutex.
type conn struct {
	inst        *instance
	state       connState
	noMore      bool // it is shared and takes no more requests
	proved      bool // the application reads it: it has replied to a query on it
	evicted     bool // it is closed to make room, though it is in order
	spoiled     bool // its last request did not end properly
	halfClosed  bool // only this side is closed (closeHalf)
	answered    bool // an answer has begun on it; counted in observed.answering
	awaiting    bool // its first request has it, and nothing has come on it; counted in queue.awaiting
	noKeepAlive bool // it is closed after its present request
	bodies      bool // the requests on it have bodies
	streams     int  // present requests
	uses        int  // requests that have got it
	ended       int  // requests that were answered to their end
	idleSince   time.Time
	usedAt      time.Time // when its first request got it, unless it is shared
	madeAt      time.Time // if it is shared

	net.Conn
	mux         *mux.Conn // nil if it is not shared; otherwise the fields below are not used
	interrupted atomic.Bool
	recheck     atomic.Bool  // the reader is to look whether it was accepted (Fail)
	poll        poll         // for a reader that does not wait
	id          uint16       // of the current request
	unrunBelow  int64        // of the current request; see upstream.Codec.AppendHead
	written     atomic.Int64 // bytes of the current request that were written

	unread     Unread          // tells what the application has not read; nil: not known
	kernel     Unread          // of Instance.Unread; nil if that cannot tell
	isDirect   bool            // kernel tells of the application itself, not of a proxy
	raw        syscall.RawConn // nil if it is no socket
	peek       func(fd uintptr)
	quiet      bool           // result of peek
	early      upstream.Event // came before the request was sent; Kind 0: nothing did
	failed     error          // what Next returns after early; nil: not known
	peerClosed bool           // the application has closed its side
	queried    bool           // a query was sent, and the reply may be late
	keepUntil  time.Time      // when the application may begin to close it; zero: not known
	unasked    bool           // output came on a kept connection before the request was sent: it is no answer to it
	readBy     time.Time      // the read deadline that was set last, as far as it is known; zero: none, or not known
	in         upstream.Buffer
}

// readBuffer is the size of a connection's read buffer, in bytes, and largeReadBuffer that of one on
// which a large answer has come: a FastCGI record of any size fits into it. There are at most
// Workers of them per instance.
const (
	readBuffer      = 32 << 10
	largeReadBuffer = 66 << 10
)

// attach gives c the connection that was dialled. A query may be sent on it, or open called.
func (c *conn) attach(nc net.Conn, codec upstream.Codec) {
	c.Conn, c.queried, c.readBy = nc, false, time.Time{}
	c.in.Reset(codec.NewDecoder(), readBuffer)
}

// open prepares c for requests that do not share it.
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
	c.peek = func(fd uintptr) { c.quiet = socket.Quiet(int(fd)) }
	c.poll.begin(c.Conn)
}

// usable reports whether an idle connection is in order: open, and without a byte to read,
// except replies to queries.
func (c *conn) usable() bool {
	for c.failed == nil {
		c.poll.came.Store(false)
		quiet := c.raw == nil || c.isQuiet()
		if quiet && c.in.Clean() {
			return true
		}
		if !c.queried || !c.takesReply(quiet) {
			return false
		}
	}
	return false
}

// setKeepFor notes for how long the application keeps the connection, 0 if it has not said.
func (c *conn) setKeepFor(d time.Duration) {
	c.keepUntil = time.Time{}
	if d > 0 {
		c.keepUntil = time.Now().Add(d)
	}
}

// isOverdue reports whether the application may close the connection at any moment, as it has
// said (upstream.Event.KeepFor).
func (c *conn) isOverdue() bool { return !c.keepUntil.IsZero() && !time.Now().Before(c.keepUntil) }

// isQuiet reports whether there is nothing to read, not even the end. c is a socket.
func (c *conn) isQuiet() bool {
	c.quiet = false
	// Control, not Read: the deadline of the last request may have passed.
	return c.raw.Control(c.peek) == nil && c.quiet
}

// takesReply reads and drops what has come if that is replies to queries, and reports
// whether it is. Go's net/http/fcgi ends each reply with an empty one. Unless it is quiet,
// there is something to read.
func (c *conn) takesReply(quiet bool) bool {
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

// reset prepares c for its next request.
func (c *conn) reset() {
	c.interrupted.Store(false)
	c.written.Store(0)
	c.id = uint16((c.uses-1)%65535) + 1
}

// Next returns the next event of the current request. It waits until deadline; zero: for
// ever.
func (c *conn) Next(deadline time.Time) (none upstream.Event, err error) {
	if c.unasked {
		return none, io.EOF
	}
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
		if err := c.boundRead(deadline); err != nil {
			return none, err
		}
		// Interrupt sets the flag before the deadline, so one of the two is seen here.
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
			if n == readBuffer {
				c.in.Grow(largeReadBuffer)
			}
		case c.interrupted.Load():
			return none, ErrInterrupted
		case !errors.Is(err, os.ErrDeadlineExceeded) || !deadline.IsZero() && !time.Now().Before(deadline):
			return c.ending(c.reason(err))
		default: // the deadline was an earlier one, or that of recheck
			c.readBy = time.Time{}
		}
	}
}

// boundRead has the next Read end at the deadline or before. Setting a deadline costs as much as
// other parts of a small request, so that of an earlier request is kept while it has not passed:
// a Read that it ends is begun again.
func (c *conn) boundRead(deadline time.Time) error {
	if by := c.readBy; !by.IsZero() && (deadline.IsZero() || !by.After(deadline)) && time.Now().Before(by) {
		return nil
	}
	return c.SetReadDeadline(deadline)
}

// SetReadDeadline is that of net.Conn, for the owner.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.readBy = t
	return c.Conn.SetReadDeadline(t)
}

// Buffered decodes the next event, if it has come.
func (c *conn) Buffered() bool {
	if c.early.Kind == 0 && c.failed == nil {
		c.early, c.failed = c.take()
	}
	return c.early.Kind != 0 || c.failed != nil
}

// ending returns what the end of the connection is: the end of the answer, or an error.
func (c *conn) ending(err error) (upstream.Event, error) {
	if err == io.EOF {
		if ev := c.in.EOF(); ev.Kind != 0 {
			return ev, nil
		}
	}
	return upstream.Event{}, err
}

// reason returns the error of a read. It is io.EOF only if the application had read all that
// it was sent.
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

// listen waits until deadline, before the request is sent, and reports whether nothing came
// meanwhile, not even the end. Next returns what came.
func (c *conn) listen(deadline time.Time) (quiet bool) {
	if c.SetReadDeadline(deadline) != nil {
		return true // the write will fail
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
	c.poll.wake()
}

func (c *conn) Resume() { c.interrupted.Store(false) }

// Received is how many bytes were received since the connection was made.
func (c *conn) Received() int64 { return c.in.Received() }

// Clean reports whether nothing of the current request is left.
func (c *conn) Clean() bool { return c.early.Kind == 0 && c.failed == nil && c.in.Clean() }

// close closes the connection, and waits for the goroutines of a shared one.
func (c *conn) close() error {
	if c.mux != nil {
		c.mux.Close()
		return nil
	}
	return c.Close()
}

// closeHalf closes this side of a connection that is in order, and reports whether it did. Who
// answers a request that is not wanted any more has to be stopped, and both sides are closed.
func (c *conn) closeHalf() bool {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	return ok && c.mux == nil && !c.spoiled && !c.peerClosed && half.CloseWrite() == nil
}

// cut closes the connection while it is used. Its requests fail with why.
func (c *conn) cut(why error) {
	if c.mux != nil {
		c.mux.Cut(why)
		return
	}
	_ = c.Close() // it may have been closed already
	c.poll.cut.Store(true)
	c.poll.wake()
}

func (c *conn) Begin(r *upstream.Request, unrunBelow int) {
	c.unrunBelow = int64(unrunBelow)
	c.in.Begin(c.id, r)
}

// Send writes b. Mostly the socket has room for it; only otherwise there is a wait, which needs
// the deadline.
func (c *conn) Send(b []byte, deadline time.Time) error {
	if c.interrupted.Load() {
		return ErrInterrupted
	}
	if c.raw != nil {
		n, _ := c.poll.direct.Write(b) // an error is that of the next write, too
		c.written.Add(int64(n))
		if b = b[n:]; len(b) == 0 {
			return nil
		}
	}
	if err := c.SetWriteDeadline(deadline); err != nil {
		return err
	}
	// Interrupt sets the flag before the deadline, so one of the two is seen here.
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

// lingerTimeout is how long the application may take to close its side after END_REQUEST.
const lingerTimeout = time.Second

// linger waits for d until the application closes its side, because its worker is taken
// until then. It reports whether the application neither closed nor sent anything. Some
// applications wait for the other side to close.
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
