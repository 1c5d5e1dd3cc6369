package accepted

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// Conn is a client's connection. The addresses are those that a proxy has told, if one has.
type Conn struct {
	// Conn reads and writes. Its addresses are those of the socket.
	net.Conn
	// Told says that a proxy has told the addresses.
	Told bool

	remote, local net.Addr // if Told
}

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr {
	if c.Told {
		return c.remote
	}
	return c.Conn.RemoteAddr()
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr {
	if c.Told {
		return c.local
	}
	return c.Conn.LocalAddr()
}

// SyscallConn implements syscall.Conn.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if socket, ok := c.Conn.(syscall.Conn); ok {
		return socket.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// SetLinger is that of net.TCPConn.
func (c *Conn) SetLinger(sec int) error {
	if tcp, ok := c.Conn.(interface{ SetLinger(sec int) error }); ok {
		return tcp.SetLinger(sec)
	}
	return errors.ErrUnsupported
}

// CloseWrite closes the sending side, as net/http does before it closes a connection.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// ReadFrom implements io.ReaderFrom, which net/http needs for sendfile(2).
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	if to, ok := c.Conn.(io.ReaderFrom); ok {
		return to.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{c.Conn}, r)
}
