package framing

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Listener returns connections whose requests are checked.
type Listener struct {
	net.Listener
	// Refused, if it is not nil, is called for each request whose header was refused, with
	// the client's address and the number of bytes in the body of the answer. It is not
	// called for malformed bodies: the handler sees the error when it reads.
	Refused func(client net.Addr, err *Error, answered int)
	// MaxHeader is how many bytes the header of a request may have, the request line
	// included. The server's own limit must not be smaller.
	MaxHeader int

	count atomic.Uint64
}

// Count returns the number of requests whose header was refused since the start.
func (l *Listener) Count() uint64 { return l.count.Load() }

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	checked := &conn{Conn: c, listener: l, scanner: scanner{most: l.MaxHeader}}
	if _, ok := c.(io.ReaderFrom); ok {
		return readerFrom{checked}, nil
	}
	return checked, nil
}

// net/http reads these bytes in place of a malformed rest. They are malformed at every
// position where the scanner may stop: in a header they add a NUL to the current line; in
// a chunk's header, after a chunk's data and in a trailer they add a CR. Each ends with an
// empty line, so that net/http does not wait for more.
const (
	poisonHead = "\x00\r\n\r\n"
	poisonBody = "\r\r\n\r\n"
)

// conn is a client's connection as net/http sees it. One goroutine reads at a time.
type conn struct {
	net.Conn
	listener *Listener

	scanner scanner
	err     *Error       // why the connection was refused; set before poison and next
	poison  string       // the part that net/http has not read yet
	next    atomic.Int32 // what the next Write is: one of the constants below
}

// What the next Write is, when net/http has read all poison.
const (
	anyAnswer   int32 = iota // it has not
	own400                   // net/http's 400 to a malformed header
	handlers400              // the handler's answer to a malformed body, or its beginning
)

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	for c.err == nil {
		n, err := c.Conn.Read(p)
		kept, bad := c.scanner.scan(p[:n])
		if bad != nil {
			c.refuse(bad)
			if err = nil; kept == 0 {
				break
			}
		}
		if kept > 0 || err != nil || len(p) == 0 {
			return kept, err
		}
	}
	n := copy(p, c.poison)
	c.poison = c.poison[n:]
	if n > 0 && c.poison == "" {
		if c.scanner.state.inHead() {
			c.next.Store(own400)
		} else {
			c.next.Store(handlers400)
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, c.err
	}
	return n, nil
}

func (c *conn) refuse(err *Error) {
	c.err, c.poison = err, poisonBody
	if c.scanner.state.inHead() {
		c.poison = poisonHead
	}
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	switch c.next.Swap(anyAnswer) {
	case own400:
		return len(p), c.refuseHeader()
	case handlers400:
		n, err := c.Conn.Write(p)
		if err == nil {
			c.linger()
		}
		return n, err
	}
	return c.Conn.Write(p)
}

// refuseHeader answers in place of net/http, and says why.
func (c *conn) refuseHeader() error {
	body := fmt.Sprintf("%d %s\n\n%s\n", c.err.Status, http.StatusText(c.err.Status), c.err.Reason)
	c.listener.count.Add(1)
	if c.listener.Refused != nil {
		c.listener.Refused(c.RemoteAddr(), c.err, len(body))
	}
	_, err := fmt.Fprintf(c.Conn, "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"+
		"Proxy-Status: sluice; error=http_request_error\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
		c.err.Status, http.StatusText(c.err.Status), time.Now().UTC().Format(http.TimeFormat), len(body), body)
	if err == nil && c.CloseWrite() == nil {
		c.linger()
	}
	return err
}

// How long a client that was refused may go on sending, how long it may pause, and how much
// it may send, in bytes. A connection that is closed with bytes unread is reset, and the
// client would lose the answer.
const (
	lingerFor   = 2 * time.Second
	lingerPause = 500 * time.Millisecond
	lingerMost  = 16 << 20
)

// linger reads and drops what the client still sends. Close, from any goroutine, ends it.
func (c *conn) linger() {
	buf := make([]byte, 4<<10)
	end := time.Now().Add(lingerFor)
	for n := 0; n < lingerMost; {
		now := time.Now()
		deadline := now.Add(lingerPause)
		if deadline.After(end) {
			deadline = end
		}
		if !now.Before(end) || c.SetReadDeadline(deadline) != nil {
			return
		}
		m, err := c.Conn.Read(buf)
		if err != nil {
			return // the client has closed its end, most likely
		}
		n += m
	}
}

// CloseWrite ends what is sent, as net/http does before it closes a connection.
func (c *conn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

// NetConn returns the connection below, as that of a tls.Conn does.
func (c *conn) NetConn() net.Conn { return c.Conn }

// readerFrom is a conn with the ReadFrom that net/http looks for to use sendfile(2).
type readerFrom struct{ *conn }

// ReadFrom implements io.ReaderFrom.
func (c readerFrom) ReadFrom(r io.Reader) (int64, error) {
	return c.Conn.(io.ReaderFrom).ReadFrom(r)
}
