package cgiserver

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// fastCGIConn is a FastCGI connection. Web servers may keep it, and send several requests on it
// at the same time.
type fastCGIConn struct {
	link
	server   *Server
	in       *bufio.Reader
	handlers sync.WaitGroup

	mu      sync.Mutex
	streams map[uint16]*stream // that have begun, until the end of their answers is sent
	running int                // handlers, until that was sent
	last    bool               // the connection ends with the requests it has
	ended   bool               // nothing more is sent: what comes is dropped
	waits   bool               // a goroutine waits for next
	next    chan call
}

// call is a call of the handler.
type call struct {
	of      *stream
	r       *http.Request
	refused int // status, 0: it is not
}

// stream is a request on a fastCGIConn. All but the request is guarded by the connection's mu or
// belongs to its reading goroutine.
type stream struct {
	*request
	id       uint16
	begin    fcgi.BeginRequest
	params   []byte
	complete *cgi.Received // the variables, when all have come
	deadline time.Time     // for the handler to be called
	counted  bool          // among the server's requests
	running  bool          // the handler was called, or the request was refused
	whole    bool          // STDIN has ended
}

// invalidRecord is the header of a record of version 0, which there is none of. After it, and
// without END_REQUEST, nginx, Apache, HAProxy and Caddy take an answer for truncated. Some of them,
// such as nginx without fastcgi_buffering, take it for complete if the connection is only closed.
var invalidRecord [fcgi.HeaderLen]byte

// readBuffer is how much is read from a connection at a time, in bytes.
const readBuffer = 8 << 10

func newFastCGIConn(s *Server, c net.Conn) *fastCGIConn {
	return &fastCGIConn{
		link: link{net: c, timeout: s.WriteTimeout}, server: s,
		in: bufio.NewReaderSize(c, readBuffer), streams: make(map[uint16]*stream, 1), next: make(chan call, 1),
	}
}

// serve implements conn. It is the goroutine that reads.
func (c *fastCGIConn) serve() {
	c.mu.Lock()
	_ = c.setReadDeadline() // the connection is closed if it fails
	c.mu.Unlock()
	if err := c.read(); err != nil {
		c.server.Logger.Warn("a web server breaks the protocol; its connection is closed", "peer", c.net.RemoteAddr().String(), "error", err.Error(), "advice", "see whether the web server is told to speak this protocol here")
	}
	_ = c.net.Close() // nothing more is read from it
	c.mu.Lock()
	c.ended = true
	for _, st := range c.streams {
		st.abort()
		if !st.running {
			c.forget(st)
		}
	}
	close(c.next) // nothing is started any more
	c.mu.Unlock()
	c.handlers.Wait()
}

// drain implements conn.
func (c *fastCGIConn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = true
	if c.idle() && !c.ended {
		c.ended = true
		c.end(true)
	}
}

// cut implements conn. The goroutine that reads may wait for a handler to read its body, which may wait
// for the end of its context.
func (c *fastCGIConn) cut() {
	_ = c.net.Close() // serve sees it
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, st := range c.streams {
		st.abort()
	}
}

// read reads records until the connection ends. An error says how the web server breaks the
// protocol.
func (c *fastCGIConn) read() error {
	for {
		b, err := c.in.Peek(fcgi.HeaderLen)
		if err != nil {
			return nil // closed, or out of time
		}
		h, err := fcgi.DecodeHeader(b)
		if err != nil {
			return err
		}
		_, _ = c.in.Discard(fcgi.HeaderLen) // they are buffered
		left, err := c.record(h)
		if _, ok := errors.AsType[*fcgi.FormatError](err); ok {
			return err
		}
		if err != nil {
			return nil
		}
		if _, err := c.in.Discard(left + int(h.PaddingLength)); err != nil {
			return nil
		}
	}
}

// record deals with a record, and returns how many bytes of its content it has not read.
func (c *fastCGIConn) record(h fcgi.Header) (left int, err error) {
	n := int(h.ContentLength)
	c.mu.Lock()
	st, ended := c.streams[h.RequestID], c.ended
	c.mu.Unlock()
	switch {
	case ended:
		return n, nil
	case h.RequestID == fcgi.ManagementID:
		return c.management(h)
	case h.Type == fcgi.TypeBeginRequest:
		return 0, c.beginRequest(st, h)
	case st == nil:
		return n, nil // of a request that is over (section 3.3)
	}
	switch h.Type {
	case fcgi.TypeParams:
		return c.readParams(st, n)
	case fcgi.TypeStdin:
		return 0, c.readStdin(st, n)
	case fcgi.TypeAbortRequest:
		c.abortRequest(st)
	}
	return n, nil // DATA is for filters; other types are an application's
}

// beginRequest begins a request (section 5.1).
func (c *fastCGIConn) beginRequest(active *stream, h fcgi.Header) error {
	if h.ContentLength != 8 {
		return &fcgi.FormatError{What: h.Type.String(), Why: fmt.Sprintf("content is %d bytes, want 8", h.ContentLength)}
	}
	var content [8]byte
	if _, err := io.ReadFull(c.in, content[:]); err != nil {
		return err
	}
	if active != nil {
		return &fcgi.FormatError{What: h.Type.String(), Why: fmt.Sprintf("request %d has begun already", h.RequestID)}
	}
	begin, err := fcgi.DecodeBeginRequest(content[:])
	if err != nil {
		return err
	}
	if begin.Role != fcgi.RoleResponder && (begin.Role != fcgi.RoleAuthorizer || !c.server.Authorizer) {
		return c.refuseRole(h.RequestID, begin)
	}
	st := &stream{
		id: h.RequestID, begin: begin,
		deadline: time.Now().Add(c.server.HeaderTimeout), whole: begin.Role == fcgi.RoleAuthorizer,
	}
	st.request = newRequest(c.server, &c.link, fastCGIFrame{h.RequestID}, func() {
		c.mu.Lock()
		c.forget(st)
		c.mu.Unlock()
	})
	st.counted = c.server.enter()
	c.mu.Lock()
	c.streams[st.id] = st
	err = c.setReadDeadline()
	c.mu.Unlock()
	if err == nil && !st.counted {
		return c.start(st, nil, http.StatusServiceUnavailable)
	}
	return err
}

// readStdin reads a STDIN record. An empty one ends the body.
func (c *fastCGIConn) readStdin(st *stream, n int) error {
	if n == 0 {
		c.mu.Lock()
		st.whole = true
		c.mu.Unlock()
		st.in.end(io.EOF)
	}
	if st.complete != nil && !st.running {
		if err := c.call(st); err != nil {
			return err
		}
	}
	if !st.running && !st.in.takes(n) { // there is no handler to wait for
		return &fcgi.FormatError{What: "STDIN", Why: "the body comes before the end of the variables"}
	}
	return st.in.receive(c.in, n)
}

// abortRequest ends a request that the web server does not want an answer to (section 5.4).
func (c *fastCGIConn) abortRequest(st *stream) {
	st.aborted.Store(true)
	st.abort()
	if !st.running {
		_ = c.start(st, nil, http.StatusBadRequest) // it needs an END_REQUEST, whatever that says
	}
}

// call has the handler answer a request whose variables are here.
func (c *fastCGIConn) call(st *stream) error {
	r, refused := st.incoming(st.complete)
	if refused == 0 && r.ContentLength < 0 && st.whole {
		r.ContentLength, r.Body = 0, http.NoBody // there is none
	}
	return c.start(st, r, refused)
}

// start begins to answer a request. It fails if the connection was closed, to make room for
// another.
func (c *fastCGIConn) start(st *stream, r *http.Request, refused int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return net.ErrClosed
	}
	if c.running == 0 {
		c.server.state(c.net, http.StateActive)
	}
	c.running++
	st.running = true
	if err := c.setReadDeadline(); err != nil {
		c.running--
		st.running = false
		return err
	}
	if next := (call{st, r, refused}); c.waits {
		c.waits = false
		c.next <- next // there is room: one goroutine waits at most
	} else {
		c.handlers.Go(func() { c.answer(next) })
	}
	return nil
}

// answer calls the handler, and stays for the next request: a new goroutine would have its stack grown
// anew for each of them.
func (c *fastCGIConn) answer(next call) {
	for ok := true; ok; next, ok = <-c.next {
		c.finished(next.of, next.of.run(next.r, next.refused))
		next = call{} // which may be long in coming
		c.mu.Lock()
		if c.waits || c.ended {
			c.mu.Unlock()
			return
		}
		c.waits = true
		c.mu.Unlock()
	}
}

// finished ends a request.
func (c *fastCGIConn) finished(st *stream, res result) {
	if res == truncated {
		c.truncate(invalidRecord[:])
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if res == truncated {
		c.forget(st)
	}
	c.running--
	if c.running == 0 {
		c.server.state(c.net, http.StateIdle)
	}
	if res == truncated {
		c.ended = true
		return
	}
	if st.begin.Flags&fcgi.FlagKeepConn == 0 || res == closes || c.server.draining.Load() {
		c.last = true
	}
	if c.idle() && c.last && !c.ended {
		c.ended = true
		c.end(!st.whole)
		return
	}
	_ = c.setReadDeadline() // the connection was closed if it fails, and serve sees that
}

// idle reports whether there is no request. It is called with mu held.
func (c *fastCGIConn) idle() bool { return len(c.streams) == 0 && c.running == 0 }

// forget drops a request, whose id may be used again. It is called with mu held.
func (c *fastCGIConn) forget(st *stream) {
	delete(c.streams, st.id)
	if st.counted {
		c.server.leave()
	}
}

// setReadDeadline says how long the next record may take. It is called with mu held.
func (c *fastCGIConn) setReadDeadline() error {
	if c.ended {
		return nil
	}
	if c.idle() {
		return c.net.SetReadDeadline(time.Now().Add(c.server.IdleTimeout))
	}
	var earliest time.Time
	for _, st := range c.streams {
		if !st.running && (earliest.IsZero() || st.deadline.Before(earliest)) {
			earliest = st.deadline
		}
	}
	return c.net.SetReadDeadline(earliest)
}
