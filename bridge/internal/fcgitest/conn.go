package fcgitest

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// bufferSize is how many bytes one direction holds before a writer waits: the default of a unix socket on
// Linux.
const bufferSize = 208 << 10

// Conn is one end of a connection in memory.
type Conn struct {
	link    *link
	in, out *stream

	// Guarded by link.mu.
	closed          bool
	readBy, writeBy deadline
}

// link is what the two ends share.
type link struct {
	mu      sync.Mutex
	changed *sync.Cond
}

// stream is one direction. Guarded by link.mu.
type stream struct {
	data  bytes.Buffer
	ended bool // the writer has closed: reads return io.EOF after data
	reset bool // before io.EOF, one read fails with ECONNRESET
	dead  bool // the reader has closed: writes fail with EPIPE
}

// Pipe returns the two ends of a connection.
func Pipe() (*Conn, *Conn) {
	l := &link{}
	l.changed = sync.NewCond(&l.mu)
	ab, ba := new(stream), new(stream)
	return &Conn{link: l, in: ba, out: ab}, &Conn{link: l, in: ab, out: ba}
}

// IsPeer reports whether other is the other end of c.
func (c *Conn) IsPeer(other net.Conn) bool {
	o, ok := other.(*Conn)
	return ok && o != c && o.link == c.link
}

// Read waits for data, the end, or the deadline.
func (c *Conn) Read(p []byte) (int, error) {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, opError("read", net.ErrClosed)
		case c.readBy.passed():
			return 0, opError("read", os.ErrDeadlineExceeded)
		case c.in.data.Len() > 0:
			n, _ := c.in.data.Read(p)
			c.link.changed.Broadcast()
			return n, nil
		case c.in.reset:
			c.in.reset = false
			return 0, opError("read", os.NewSyscallError("read", syscall.ECONNRESET))
		case c.in.ended:
			return 0, io.EOF
		case len(p) == 0:
			return 0, nil
		}
		c.link.changed.Wait()
	}
}

// Write waits until all of p is in the other end's buffer, or the deadline.
func (c *Conn) Write(p []byte) (n int, err error) {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	for {
		switch {
		case c.closed:
			return n, opError("write", net.ErrClosed)
		case c.writeBy.passed():
			return n, opError("write", os.ErrDeadlineExceeded)
		case c.out.dead, c.out.ended:
			return n, opError("write", os.NewSyscallError("write", syscall.EPIPE))
		case n == len(p):
			return n, nil
		}
		if room := min(bufferSize-c.out.data.Len(), len(p)-n); room > 0 {
			c.out.data.Write(p[n : n+room])
			n += room
			c.link.changed.Broadcast()
			continue
		}
		c.link.changed.Wait()
	}
}

// Takes reports whether n bytes can be written without waiting.
func (c *Conn) Takes(n int) bool {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	return c.out.data.Len()+n <= bufferSize
}

// Close closes both directions. With unread bytes, the other end is reset.
func (c *Conn) Close() error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	return c.close(c.in.data.Len() > 0)
}

// Reset closes both directions and resets the other end, with or without unread bytes. The kernel does
// this to the connections in the backlog of a listener that is closed.
func (c *Conn) Reset() error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	return c.close(true)
}

// end closes both directions without a reset.
func (c *Conn) end() error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	return c.close(false)
}

func (c *Conn) close(unread bool) error {
	if c.closed {
		return opError("close", net.ErrClosed)
	}
	c.closed = true
	c.out.ended = true
	c.out.reset = unread
	c.in.dead = true
	c.in.data = bytes.Buffer{}
	c.readBy.set(time.Time{}, nil)
	c.writeBy.set(time.Time{}, nil)
	c.link.changed.Broadcast()
	return nil
}

// CloseWrite ends the direction that c writes, as shutdown(SHUT_WR) does.
func (c *Conn) CloseWrite() error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.closed {
		return opError("close", net.ErrClosed)
	}
	c.out.ended = true
	c.link.changed.Broadcast()
	return nil
}

// CloseRead ends the direction that c reads, as shutdown(SHUT_RD) does.
func (c *Conn) CloseRead() error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.closed {
		return opError("close", net.ErrClosed)
	}
	c.in.dead = true
	c.link.changed.Broadcast()
	return nil
}

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error { return c.setDeadlines(t, &c.readBy, &c.writeBy) }

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadlines(t, &c.readBy) }

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadlines(t, &c.writeBy) }

func (c *Conn) setDeadlines(t time.Time, deadlines ...*deadline) error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.closed {
		return opError("set", net.ErrClosed)
	}
	for _, d := range deadlines {
		d.set(t, c.link.wake)
	}
	c.link.changed.Broadcast()
	return nil
}

func (l *link) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changed.Broadcast()
}

// LocalAddr returns a placeholder.
func (c *Conn) LocalAddr() net.Addr { return addr{} }

// RemoteAddr returns a placeholder.
func (c *Conn) RemoteAddr() net.Addr { return addr{} }

// deadline is a deadline with a timer that wakes the waiting goroutines.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) set(t time.Time, wake func()) {
	d.at = t
	if d.timer != nil {
		d.timer.Stop()
	}
	if t.IsZero() || d.passed() {
		return
	}
	if d.timer == nil {
		d.timer = time.AfterFunc(time.Until(t), wake)
		return
	}
	d.timer.Reset(time.Until(t))
}

// addr is a TCP address, because net/http looks for a host and a port.
type addr struct{}

func (addr) Network() string { return "tcp" }
func (addr) String() string  { return "192.0.2.1:1234" }

func opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "memory", Err: err}
}
