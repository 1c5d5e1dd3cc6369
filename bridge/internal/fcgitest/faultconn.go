package fcgitest

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// faultConn is a client's end with a fault. One goroutine may read while another writes.
type faultConn struct {
	net.Conn
	fault Fault

	passed int    // bytes in the fault's direction; its reader's or writer's
	held   []byte // read and not passed on yet; owned by the reader

	mu              sync.Mutex
	changed         *sync.Cond
	closed          bool // by the client
	broken          bool // by the fault
	resetDue        bool // the next read fails with ECONNRESET
	struck          bool
	readBy, writeBy deadline
	resume          deadline // when a stall ends; zero means never
}

func newFaultConn(c net.Conn, f Fault) *faultConn {
	fc := &faultConn{Conn: c, fault: f}
	fc.changed = sync.NewCond(&fc.mu)
	return fc
}

// before returns how many of n bytes pass before the fault's byte, and whether
// that byte is among them.
func (c *faultConn) before(d FaultDirection, n int) (int, bool) {
	if c.fault.Direction != d || c.fault.Kind == 0 {
		return n, false // passed is owned by the user of the other direction
	}
	left := c.fault.At - c.passed
	if left < 0 || left >= n {
		return n, false
	}
	return left, true
}

// Read implements net.Conn, with the fault.
func (c *faultConn) Read(p []byte) (int, error) {
	if c.fault.Direction != FromApp {
		return c.read(p)
	}
	if len(c.held) > 0 {
		return c.readHeld(p)
	}
	if before, hit := c.before(FromApp, len(p)); hit && before > 0 && c.fault.Kind != Corrupt {
		p = p[:before] // without the fault's byte
	}
	n, err := c.read(p)
	before, hit := c.before(FromApp, n)
	switch {
	case !hit:
		c.passed += n
		return n, err
	case c.fault.Kind == Corrupt:
		p[before] ^= c.fault.Mask
		c.passed += n
		return n, err
	case c.fault.Kind == Stall, c.fault.Kind == Split:
		c.strike()
		c.held = append([]byte(nil), p[:n]...)
		return c.readHeld(p)
	}
	c.breakDown()
	return c.read(p)
}

// readHeld returns held bytes, after the stall has ended.
func (c *faultConn) readHeld(p []byte) (int, error) {
	if err := c.wait("read", &c.readBy); err != nil {
		return 0, err
	}
	n := copy(p, c.held)
	c.held = c.held[n:]
	c.passed += n
	return n, nil
}

// Write implements net.Conn, with the fault.
func (c *faultConn) Write(p []byte) (int, error) {
	before, hit := c.before(ToApp, len(p))
	if !hit {
		n, err := c.write(p)
		if c.fault.Direction == ToApp {
			c.passed += n
		}
		return n, err
	}
	if c.fault.Kind == Corrupt {
		p = append([]byte(nil), p...)
		p[before] ^= c.fault.Mask
		n, err := c.write(p)
		c.passed += n
		return n, err
	}
	n, err := c.write(p[:before])
	c.passed += n
	if err != nil {
		return n, err
	}
	if c.fault.Kind == Stall || c.fault.Kind == Split {
		c.strike()
		if err := c.wait("write", &c.writeBy); err != nil {
			return n, err
		}
	} else {
		c.breakDown()
	}
	rest, err := c.write(p[before:])
	c.passed += rest
	return n + rest, err
}

// read reads from the connection, or returns the error of the fault.
func (c *faultConn) read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case n > 0 || c.closed || !c.broken || !errors.Is(err, net.ErrClosed):
		return n, err
	case c.resetDue:
		c.resetDue = false
		return 0, opError("read", os.NewSyscallError("read", syscall.ECONNRESET))
	}
	return 0, io.EOF
}

// write writes to the connection, or returns the error of the fault.
func (c *faultConn) write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := c.Conn.Write(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken && !c.closed && errors.Is(err, net.ErrClosed) {
		err = opError("write", os.NewSyscallError("write", syscall.EPIPE))
	}
	return n, err
}

// breakDown closes the connection because of the fault.
func (c *faultConn) breakDown() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken || c.closed {
		return
	}
	c.broken = true
	if c.fault.Kind == Reset {
		c.resetDue = true
		_ = reset(c.Conn)
		return
	}
	_ = end(c.Conn)
}

// strike begins a stall, once.
func (c *faultConn) strike() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.struck {
		return
	}
	c.struck = true
	if c.fault.Kind == Split || c.fault.For > 0 {
		c.resume.set(time.Now().Add(c.fault.For), c.wake)
	}
}

// wait waits until the stall is over, the deadline, or the end.
func (c *faultConn) wait(op string, by *deadline) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed:
			return opError(op, net.ErrClosed)
		case by.passed():
			return opError(op, os.ErrDeadlineExceeded)
		case c.resume.passed():
			return nil
		}
		c.changed.Wait()
	}
}

func (c *faultConn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changed.Broadcast()
}

// Close closes both directions.
func (c *faultConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	broken := c.broken && !c.closed
	c.closed = true
	for _, d := range []*deadline{&c.readBy, &c.writeBy, &c.resume} {
		d.set(time.Time{}, nil)
	}
	c.changed.Broadcast()
	if err := c.Conn.Close(); !broken {
		return err
	}
	return nil
}

// CloseWrite closes the client's sending side.
func (c *faultConn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return opError("close", errors.ErrUnsupported)
	}
	return half.CloseWrite()
}

// SetDeadline sets both deadlines.
func (c *faultConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (c *faultConn) SetReadDeadline(t time.Time) error {
	c.setDeadline(t, &c.readBy)
	return c.ofOpen(c.Conn.SetReadDeadline(t))
}

// SetWriteDeadline implements net.Conn.
func (c *faultConn) SetWriteDeadline(t time.Time) error {
	c.setDeadline(t, &c.writeBy)
	return c.ofOpen(c.Conn.SetWriteDeadline(t))
}

func (c *faultConn) setDeadline(t time.Time, d *deadline) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	d.set(t, c.wake)
	c.changed.Broadcast()
}

// ofOpen hides errors of a connection that the fault has closed.
func (c *faultConn) ofOpen(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken && !c.closed {
		return nil
	}
	return err
}
