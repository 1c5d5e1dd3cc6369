package framing

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Listener is a listener whose connections check their requests.
type Listener struct {
	net.Listener
	// Refused, if it is not nil, is called for each request whose header is refused, with the
	// client's address and the length of the answer's body. It is not called for malformed bodies:
	// the handler gets the error when it reads.
	Refused func(client net.Addr, err *Error, answered int)
	// MaxHeader is how many bytes the header of a request may have, including the request line.
	// The server's own limit must not be smaller.
	MaxHeader int

	count atomic.Uint64
}

// Count returns how many requests have had their header refused.
func (l *Listener) Count() uint64 { return l.count.Load() }

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	checked := &conn{Conn: c, listener: l, scanner: scanner{maxHeader: l.MaxHeader}}
	if tc, ok := c.(stater); ok {
		return secured{checked, tc}, nil
	}
	if _, ok := c.(io.ReaderFrom); ok {
		return readerFrom{checked}, nil
	}
	return checked, nil
}

// Poison: the bytes that net/http reads in place of the rest of a malformed request. They are
// malformed at every position where the scanner may stop: in a header they add a NUL to the current
// line; in a chunk's header, after a chunk's data and in a trailer they add a CR. They end with an
// empty line, so that net/http does not wait for more.
const (
	poisonHead = "\x00\r\n\r\n"
	poisonBody = "\r\r\n\r\n"
)

// conn is a client's connection for net/http. One goroutine reads at a time.
type conn struct {
	net.Conn
	listener *Listener

	scanner scanner
	err     *Error       // why a request was refused; set before poison and next
	poison  string       // the part of the poison that net/http has not read yet
	next    atomic.Int32 // the kind of the next Write: one of the constants below

	hijacked atomic.Bool // the connection carries another protocol
}

// Hijack has a connection of a Listener carry another protocol, which is not checked. It is for
// http.Server.ConnState. It reports false for other connections.
func Hijack(c net.Conn) bool {
	checked := checkedConn(c)
	if checked != nil {
		checked.hijacked.Store(true)
	}
	return checked != nil
}

// IsHijacked reports whether Hijack was called for the connection.
func IsHijacked(c net.Conn) bool {
	checked := checkedConn(c)
	return checked != nil && checked.hijacked.Load()
}

// checkedConn returns the conn of a Listener, nil if c is another connection.
func checkedConn(c net.Conn) *conn {
	switch c := c.(type) {
	case *conn:
		return c
	case readerFrom:
		return c.conn
	case secured:
		return c.conn
	}
	return nil
}

// The kinds of the next Write.
const (
	answerNormal int32 = iota // net/http has not read all poison
	answerHeader              // net/http's own 400 for a malformed header
	answerBody                // the handler's answer to a malformed body, or the beginning of it
)

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	if c.hijacked.Load() {
		return c.Conn.Read(p)
	}
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
			c.next.Store(answerHeader)
		} else {
			c.next.Store(answerBody)
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
	switch c.next.Swap(answerNormal) {
	case answerHeader:
		return len(p), c.refuseHeader()
	case answerBody:
		n, err := c.Conn.Write(p)
		if err == nil {
			c.linger()
		}
		return n, err
	}
	return c.Conn.Write(p)
}

// refuseHeader answers in place of net/http, with the reason.
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

// How long a refused client may continue to send, how long it may pause, and how many bytes it may
// send. A connection that is closed with unread bytes is reset, and the client would lose the
// answer.
const (
	lingerFor   = 2 * time.Second
	lingerPause = 500 * time.Millisecond
	lingerMost  = 16 << 20
)

// linger reads and discards what the client still sends. Close, from any goroutine, ends it.
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
			return // usually the client has closed the connection
		}
		n += m
	}
}

// CloseWrite closes the sending side, as net/http does before it closes a connection.
func (c *conn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

// NetConn returns the underlying connection, as tls.Conn.NetConn does.
func (c *conn) NetConn() net.Conn { return c.Conn }

// readerFrom is a conn with ReadFrom, which net/http needs for sendfile(2).
type readerFrom struct{ *conn }

// ReadFrom implements io.ReaderFrom.
func (c readerFrom) ReadFrom(r io.Reader) (int64, error) {
	return c.Conn.(io.ReaderFrom).ReadFrom(r)
}

// stater is a *tls.Conn.
type stater interface{ ConnectionState() tls.ConnectionState }

// secured is a conn whose bytes came over TLS, which net/http finds out by ConnectionState.
type secured struct {
	*conn
	stater
}
