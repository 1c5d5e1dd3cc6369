package tlsfront

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/accepted"
)

// The names of protocols in the handshake (ALPN).
const (
	HTTP2  = "h2"
	HTTP1  = "http/1.1"
	HTTP10 = "http/1.0"
	ACME   = "acme-tls/1" // a certificate authority's challenge, which is the handshake itself
)

// Config says how handshakes are made.
type Config struct {
	TLS *tls.Config
	// Timeout is how long a handshake may take.
	Timeout time.Duration
	// Track is called with http.StateClosed for a connection that nobody gets.
	Track func(net.Conn, http.ConnState)
	// BeforeHTTP2 is called for a connection before HTTP/2 is spoken on it.
	BeforeHTTP2 func(net.Conn)
	// Logger gets handshakes that fail, at level debug.
	Logger *slog.Logger
}

// Splitter accepts connections with TLS, and offers them as listeners.
type Splitter struct {
	config       Config
	from         net.Listener
	http1, http2 *queue
	handshakes   sync.WaitGroup
	failed       atomic.Uint64
}

// New returns a splitter of the connections of a listener, which are *accepted.Conn.
func New(cfg Config, from net.Listener) *Splitter {
	return &Splitter{config: cfg, from: from, http1: newQueue(from), http2: newQueue(from)}
}

// HTTP1 has the *tls.Conn of clients that speak HTTP/1.1, HTTP2 those for HTTP/2. Their handshakes are
// complete.
func (s *Splitter) HTTP1() net.Listener { return s.http1 }

// HTTP2 is described with HTTP1.
func (s *Splitter) HTTP2() net.Listener { return s.http2 }

// Failed returns how many handshakes have failed.
func (s *Splitter) Failed() uint64 { return s.failed.Load() }

// Run accepts until that fails, waits for the handshakes that have begun, and returns the error.
func (s *Splitter) Run() error {
	for {
		c, err := s.from.Accept()
		if err != nil {
			s.handshakes.Wait()
			s.http1.end()
			s.http2.end()
			return err
		}
		s.handshakes.Go(func() { s.handshake(c.(*accepted.Conn)) })
	}
}

// give offers a connection. key is what Track knows it by.
func (s *Splitter) give(to *queue, c, key net.Conn) {
	if !to.give(c) {
		_ = c.Close() // nobody will serve it
		s.config.Track(key, http.StateClosed)
	}
}

func (s *Splitter) handshake(key *accepted.Conn) {
	c := tls.Server(key, s.config.TLS)
	_ = key.SetDeadline(time.Now().Add(s.config.Timeout)) // if it fails, so does the handshake
	err := c.HandshakeContext(context.Background())
	protocol := c.ConnectionState().NegotiatedProtocol
	if err != nil || protocol == ACME {
		s.end(key, err)
		return
	}
	_ = key.SetDeadline(time.Time{}) // if it fails, so will the next Read
	if protocol == HTTP2 {
		s.config.BeforeHTTP2(key)
		s.give(s.http2, c, key)
		return
	}
	s.give(s.http1, c, key)
}

// end closes a connection whose handshake has failed, or was all that the client wanted.
func (s *Splitter) end(key *accepted.Conn, err error) {
	if err != nil {
		s.failed.Add(1)
		s.config.Logger.Debug("a TLS handshake has failed", "client", key.RemoteAddr().String(), "error", err.Error())
	}
	if header, ok := errors.AsType[tls.RecordHeaderError](err); ok && header.Conn != nil && isHTTP(header.RecordHeader) {
		// A person who has written http:// in place of https:// is told so.
		_, err := io.WriteString(key, "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request\n\nHere TLS is spoken: write https:// in place of http://.\n")
		if err == nil && key.CloseWrite() == nil {
			linger(key)
		}
	}
	_ = key.Close() // the alert of a failure has been sent
	s.config.Track(key, http.StateClosed)
}

// How long a client that was told so may go on sending its request, and how many bytes that may be. A connection
// that is closed with unread bytes is reset, and the client would lose the answer.
const (
	lingerFor  = 2 * time.Second
	lingerMost = 1 << 20
)

// linger reads and discards what a client still sends.
func linger(c net.Conn) {
	_ = c.SetReadDeadline(time.Now().Add(lingerFor)) // if it fails, so does reading
	_, _ = io.Copy(io.Discard, io.LimitReader(c, lingerMost))
}

// isHTTP reports whether what should be the header of a TLS record is the beginning of a request.
func isHTTP(header [5]byte) bool {
	switch string(header[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO":
		return true
	}
	return false
}

// queue is a listener of connections that others have accepted.
type queue struct {
	of     net.Listener // for the address
	conns  chan net.Conn
	ended  chan struct{} // there are no more
	closed chan struct{} // nobody accepts any more
	endOne sync.Once
	once   sync.Once
}

func newQueue(of net.Listener) *queue {
	return &queue{of: of, conns: make(chan net.Conn), ended: make(chan struct{}), closed: make(chan struct{})}
}

// give reports whether somebody has accepted the connection.
func (q *queue) give(c net.Conn) bool {
	select {
	case q.conns <- c:
		return true
	case <-q.closed:
		return false
	}
}

func (q *queue) end() { q.endOne.Do(func() { close(q.ended) }) }

// Accept implements net.Listener.
func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.ended:
	case <-q.closed:
	}
	return nil, net.ErrClosed
}

// Close implements net.Listener.
func (q *queue) Close() error {
	q.once.Do(func() { close(q.closed) })
	return nil
}

// Addr implements net.Listener.
func (q *queue) Addr() net.Addr { return q.of.Addr() }
