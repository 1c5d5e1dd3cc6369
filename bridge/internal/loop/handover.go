//go:build linux

package loop

import (
	"io"
	"net"
	"net/http"
	"os"
	"sync"
)

// Handed is a connection that a loop leaves to net/http, with what was read of it.
type Handed struct {
	net.Conn
	// Key is what the connection was before: the server's Track knows it by that.
	Key *Conn

	rest []byte
}

// RemoteAddr implements net.Conn. A proxy may have told it.
func (h *Handed) RemoteAddr() net.Addr {
	if h.Key.told {
		return h.Key.RemoteAddr()
	}
	return h.Conn.RemoteAddr()
}

// LocalAddr implements net.Conn. A proxy may have told it.
func (h *Handed) LocalAddr() net.Addr {
	if h.Key.told {
		return h.Key.LocalAddr()
	}
	return h.Conn.LocalAddr()
}

// Read implements net.Conn.
func (h *Handed) Read(p []byte) (int, error) {
	if len(h.rest) > 0 && len(p) > 0 {
		n := copy(p, h.rest)
		if h.rest = h.rest[n:]; len(h.rest) == 0 {
			h.rest = nil
		}
		return n, nil
	}
	return h.Conn.Read(p)
}

// CloseWrite closes the sending side, as net/http does before it closes a connection.
func (h *Handed) CloseWrite() error {
	if half, ok := h.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// SetLinger is that of net.TCPConn.
func (h *Handed) SetLinger(sec int) error { return h.Key.SetLinger(sec) }

// ReadFrom implements io.ReaderFrom, which net/http needs for sendfile(2).
func (h *Handed) ReadFrom(r io.Reader) (int64, error) {
	if to, ok := h.Conn.(io.ReaderFrom); ok {
		return to.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{h.Conn}, r)
}

// handOver leaves the connection to net/http. Data is what was read of it.
func (c *Conn) handOver(data []byte) {
	s, rest := c.loop.server, append([]byte(nil), data...)
	nc, err := c.detach()
	if err != nil { // no descriptor is left; it is closed
		s.track(c, http.StateClosed)
		return
	}
	s.hand(c, nc, rest)
}

// detach ends the service of the loop, and returns a connection for goroutines. It is closed after an
// error, and if Close has been called.
func (c *Conn) detach() (net.Conn, error) {
	c.stopHiding()
	c.loop.remove(c)
	c.loop, c.call, c.in, c.out = nil, nil, nil, nil
	f := os.NewFile(uintptr(c.fd), "client")
	nc, err := net.FileConn(f) // with a descriptor of its own
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = false
	_ = f.Close() // the connection stays open
	if err != nil {
		c.closed = true
		return errConn{c}, err
	}
	c.handed = nc
	if c.closed {
		_ = nc.Close() // as was wanted
	}
	return nc, nil
}

// errConn stands for a connection that could not be detached.
type errConn struct{ *Conn }

func (errConn) Close() error { return net.ErrClosed }

// handed are the connections that wait for net/http.
type handed struct {
	mu     sync.Mutex
	conns  []net.Conn
	wake   chan struct{} // holds one value if conns may not be empty
	closed chan struct{}
	once   sync.Once
	addr   net.Addr
}

func newHanded() *handed {
	return &handed{wake: make(chan struct{}, 1), closed: make(chan struct{})}
}

// hand hands over a connection.
func (s *Server) hand(c *Conn, nc net.Conn, rest []byte) {
	h := s.handed
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.closed:
		_ = nc.Close() // nobody will serve it
		return
	default:
	}
	h.conns = append(h.conns, &Handed{Conn: nc, Key: c, rest: rest})
	select {
	case h.wake <- struct{}{}:
	default: // it is awake already
	}
}

// Accept implements net.Listener.
func (h *handed) Accept() (net.Conn, error) {
	for {
		h.mu.Lock()
		if n := len(h.conns); n > 0 {
			c := h.conns[0]
			h.conns = h.conns[1:]
			if n > 1 {
				select {
				case h.wake <- struct{}{}:
				default:
				}
			}
			h.mu.Unlock()
			return c, nil
		}
		h.mu.Unlock()
		select {
		case <-h.wake:
		case <-h.closed:
			return nil, net.ErrClosed
		}
	}
}

// Close implements net.Listener.
func (h *handed) Close() error {
	h.once.Do(func() {
		h.mu.Lock()
		close(h.closed)
		conns := h.conns
		h.conns = nil
		h.mu.Unlock()
		for _, c := range conns {
			_ = c.Close() // nobody will serve it
		}
	})
	return nil
}

// Addr implements net.Listener.
func (h *handed) Addr() net.Addr {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.addr
}
