//go:build linux

package loop

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-proxy/sluice/bridge/internal/socket"
	"github.com/sluice-proxy/sluice/internal/framing"
)

// Conn is a client's connection. A listener makes it, a loop serves it, and if it is handed over, it
// stands for the connection that goes on. Close, SetLinger and the addresses are for any goroutine;
// everything else is its loop's. There are many that wait: the fields are in an order that takes little
// memory.
type Conn struct {
	fd    int
	local net.Addr
	from  string // the remote address, as http.Request has it

	loop     *loop
	serial   uint32
	readable bool // there may be something to read
	ended    bool // the client has closed its sending side, or the connection is broken
	used     bool // it has had a request
	running  bool // run is called
	timer    timer
	in       []byte        // what was read and belongs to requests that have not begun
	scanned  int           // how much of in its header has, as far as it has come
	header   int           // the length of the header, if it is complete; else 0
	body     int           // and of the body
	scan     *framing.Head // of a header that comes in parts
	call     *call         // the request that is served
	out      []byte        // what the client has not taken
	outBy    time.Time     // when it must have taken some of it
	takes    time.Duration // how long it may take none of an answer
	peer     *peer         // nil: the client has not closed its sending side, or there is no request
	closing  bool          // to be closed when the client has taken all of it
	doomed   bool          // to be cut when its request has ended

	open   bool // fd is
	closed bool // Close was called, or the loop has ended the connection
	told   bool // a proxy has told the addresses
	mu     sync.Mutex
	home   *loop    // has served it; nil: none has yet
	handed net.Conn // has the connection since it was handed over
}

// begin begins to serve the connection.
func (c *Conn) begin() {
	c.timer.conn = c
	c.rest()
	c.run()
}

// rest waits for a request: for the first one, or for the rest of its header, only so long; for the
// next one as long as connections are kept.
func (c *Conn) rest() {
	s, limit := c.loop.server, time.Time{}
	switch {
	case c.header > 0:
		limit = c.loop.now.Add(bodyWait)
	case (!c.used || len(c.in) > 0) && s.HeaderTimeout > 0:
		if c.timer.isSet() && c.scanned > 0 {
			return // it began with the header's first byte
		}
		limit = c.loop.now.Add(s.HeaderTimeout)
	case c.used && s.IdleTimeout > 0:
		limit = c.loop.now.Add(s.IdleTimeout)
	}
	c.loop.timers.set(&c.timer, limit)
}

// event takes what epoll tells.
func (c *Conn) event(events uint32) {
	if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		c.broken()
		return
	}
	c.readable = c.readable || events&(unix.EPOLLIN|unix.EPOLLRDHUP) != 0
	if events&unix.EPOLLOUT != 0 && len(c.out) > 0 && !c.flush() {
		return
	}
	if events&unix.EPOLLRDHUP != 0 && !c.ended {
		c.ended = true
		if c.call != nil {
			c.sideClosed()
		}
	}
	c.run()
}

// run serves the requests that are there, one after the other.
func (c *Conn) run() {
	if c.running { // an answer has ended while it was begun
		return
	}
	c.running = true
	for n := 0; c.isFree() && c.next(); n++ {
		if n == turnMax { // others have their turn, too
			c.loop.timers.set(&c.timer, time.Time{}) // it was that of a request
			c.loop.post(c.again)
			break
		}
	}
	c.running = false
}

// turnMax is how much is done for a client in a turn of the loop: how many pieces of an answer it is
// sent, or about how many requests are answered that wait for nobody.
const turnMax = 16

// again goes on after run has left its turn to others.
func (c *Conn) again() {
	if c.loop != nil {
		c.run()
	}
}

// isFree reports whether another request can begin.
func (c *Conn) isFree() bool {
	return c.loop != nil && c.call == nil && len(c.out) == 0 && !c.closing && !c.doomed
}

// next begins the next request, or reads some of it. It returns false if it has to wait.
func (c *Conn) next() bool {
	data := c.in
	if len(data) == 0 || c.isPartial() {
		if !c.readable {
			c.rest()
			return false
		}
		var ok bool
		if data, ok = c.read(); !ok {
			return c.loop != nil // it may have to rest
		}
	}
	c.take(data)
	return c.loop != nil // else it was handed over, or closed
}

// isPartial reports whether what was read is not a whole request.
func (c *Conn) isPartial() bool { return c.scanned == len(c.in) || c.header > 0 }

// keep keeps what was read and not used. The memory of a request that was used is not kept.
func (c *Conn) keep(rest []byte) {
	switch {
	case len(rest) == 0:
		c.in = nil
	case len(c.in) > 0 && &rest[0] == &c.in[0]:
		c.in = rest
	default:
		c.in = append([]byte(nil), rest...)
	}
}

// read reads what has come, after what there is.
func (c *Conn) read() (data []byte, ok bool) {
	l := c.loop
	n, err := socket.Read(c.fd, l.buf)
	switch {
	case err == unix.EINTR:
		return nil, false
	case err == unix.EAGAIN:
		c.readable = false
		return nil, false
	case err == nil && n == 0 && len(c.in) > 0:
		c.handOver(c.in) // an incomplete request has an answer, too
		return nil, false
	case err != nil || n == 0:
		c.readable = false
		c.close()
		return nil, false
	}
	c.readable = n == len(l.buf) || c.ended
	if len(c.in) == 0 {
		return l.buf[:n], true
	}
	c.in = append(c.in, l.buf[:n]...)
	return c.in, true
}

// write writes b, and keeps what the client does not take.
func (c *Conn) write(b []byte) error {
	if len(c.out) == 0 {
		n, err := socket.Write(c.fd, b)
		if err != nil && err != unix.EAGAIN && err != unix.EINTR {
			return os.NewSyscallError("write", err)
		}
		b = b[max(n, 0):]
		if len(b) == 0 {
			return nil
		}
		c.outBy = c.loop.now.Add(c.takes)
	}
	c.out = append(c.out, b...)
	return nil
}

// writeAll is write for several pieces.
func (c *Conn) writeAll(pieces ...[]byte) error {
	if len(c.out) > 0 {
		for _, p := range pieces {
			c.out = append(c.out, p...)
		}
		return nil
	}
	n, err := socket.Writev(c.fd, pieces...)
	if err != nil && err != unix.EAGAIN && err != unix.EINTR {
		return os.NewSyscallError("writev", err)
	}
	n = max(n, 0)
	for _, p := range pieces {
		skip := min(n, len(p))
		n -= skip
		c.out = append(c.out, p[skip:]...)
	}
	if len(c.out) > 0 {
		c.outBy = c.loop.now.Add(c.takes)
	}
	return nil
}

// flush writes what the client has not taken. It returns false if the connection has ended.
func (c *Conn) flush() bool {
	n, err := socket.Write(c.fd, c.out)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return true
	case err != nil:
		c.failed(os.NewSyscallError("write", err))
		return false
	}
	if c.out = c.out[n:]; len(c.out) > 0 {
		c.outBy = c.loop.now.Add(c.takes)
		c.arm()
		return true
	}
	c.out = nil
	switch {
	case c.call != nil:
		c.call.flushed()
	case c.closing:
		c.close()
	}
	return c.loop != nil
}

// arm sets the timer for what is waited for while there is a request, or an answer to be taken.
func (c *Conn) arm() {
	due := time.Time{}
	if c.call != nil {
		due = c.call.due()
	}
	if len(c.out) > 0 {
		due = earliest(due, c.outBy)
	}
	c.loop.timers.set(&c.timer, earliest(due, c.peer.next()))
}

// earliest returns the earlier one of two times. A zero time is never.
func earliest(t, u time.Time) time.Time {
	if t.IsZero() || !u.IsZero() && u.Before(t) {
		return u
	}
	return t
}

// expired says that the timer has expired.
func (c *Conn) expired() {
	now, check := c.loop.now, c.peer.next()
	switch {
	case c.call == nil && len(c.out) == 0 && c.header > 0:
		c.handOver(c.in) // a body that comes late
		return
	case c.call == nil && len(c.out) == 0:
		c.close()
		return
	case !check.IsZero() && !now.Before(check):
		c.checkPeer()
	case len(c.out) > 0 && !now.Before(c.outBy):
		c.failed(os.ErrDeadlineExceeded)
	case c.call != nil:
		c.call.expired()
	}
	if c.loop != nil {
		if c.call != nil || len(c.out) > 0 {
			c.arm()
		}
		c.run()
	}
}

// failed ends the connection because the client cannot be written to.
func (c *Conn) failed(err error) {
	if c.call != nil {
		c.call.unwritable(err)
		return
	}
	c.cut(err)
}

// broken says that the connection has ended in both directions.
func (c *Conn) broken() {
	c.ended = true
	if c.call == nil {
		c.cut(io.EOF)
		return
	}
	c.left(context.Canceled)
}

// left says that nobody waits for the answer to the request.
func (c *Conn) left(cause error) {
	c.stopHiding()
	c.call.left(cause)
	c.run()
}

// answered goes on after an answer. Last says that it is the last one of the connection.
func (c *Conn) answered(last bool) {
	c.call, c.used, c.outBy = nil, true, time.Time{}
	c.stopHiding()
	switch {
	case c.doomed:
		c.cut(nil)
	case last && len(c.out) > 0:
		c.closing, c.outBy = true, c.loop.now.Add(c.takes)
		c.arm()
	case last:
		c.close()
	default:
		c.loop.server.track(c, http.StateIdle)
	}
}

// maxDiscard is how much is read and dropped of a connection that is closed, in bytes: one that is
// closed with unread bytes is reset, and a reset may cost the client the end of the answer.
const maxDiscard = 64 << 10

// close ends the connection in order.
func (c *Conn) close() {
	l := c.loop
	for n := 0; c.readable && n < maxDiscard; {
		m, err := socket.Read(c.fd, l.buf)
		if err != nil || m == 0 {
			break
		}
		n += m
	}
	c.cut(nil)
}

// reset has the end of the connection be a TCP reset: it must not look like the end of an answer.
func (c *Conn) reset() { _ = c.SetLinger(0) }

// cut ends the connection at once, and its request with why. If the request waits for somebody's
// word, the connection ends with it.
func (c *Conn) cut(why error) {
	if c.call != nil {
		c.doomed = true
		c.call.left(why)
		return
	}
	l := c.loop
	if l == nil {
		return
	}
	c.stopHiding()
	l.remove(c)
	c.loop, c.in, c.out = nil, nil, nil
	c.mu.Lock()
	c.closed = true
	c.closeFile()
	c.mu.Unlock()
	l.server.track(c, http.StateClosed)
}

// closeFile closes the descriptor. The caller holds the mutex.
func (c *Conn) closeFile() {
	if c.open {
		c.open = false
		_ = unix.Close(c.fd) // nothing can be done about an error
	}
}

// Close ends the connection. It may be called at any time.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.handed != nil:
		return c.handed.Close()
	case c.closed:
		return net.ErrClosed
	}
	c.closed = true
	if c.home == nil {
		c.closeFile()
		return nil
	}
	c.home.post(func() {
		if c.loop != nil {
			c.cut(net.ErrClosed)
		}
	})
	return nil
}

// isClosed reports whether Close was called.
func (c *Conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// SetLinger is that of net.TCPConn.
func (c *Conn) SetLinger(sec int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.handed != nil {
		if tcp, ok := c.handed.(interface{ SetLinger(sec int) error }); ok {
			return tcp.SetLinger(sec)
		}
		return errors.ErrUnsupported
	}
	if !c.open {
		return net.ErrClosed
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: int32(sec)}))
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// isTCP reports whether it is no unix socket.
func (c *Conn) isTCP() bool {
	_, tcp := c.local.(*net.TCPAddr)
	return tcp
}

// RemoteAddr implements net.Conn. It is made anew: few need it more than once.
func (c *Conn) RemoteAddr() net.Addr {
	switch {
	case c.isTCP():
		at, _ := netip.ParseAddrPort(c.from) // as name has written it
		return net.TCPAddrFromAddrPort(at)
	case c.from == unnamed:
		return &net.UnixAddr{Net: "unix"}
	}
	return &net.UnixAddr{Net: "unix", Name: c.from}
}

// Read and the other methods of net.Conn are not for a connection that a loop serves.
func (c *Conn) Read([]byte) (int, error)         { return 0, errors.ErrUnsupported }
func (c *Conn) Write([]byte) (int, error)        { return 0, errors.ErrUnsupported }
func (c *Conn) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (c *Conn) SetReadDeadline(time.Time) error  { return errors.ErrUnsupported }
func (c *Conn) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

var _ net.Conn = (*Conn)(nil)
