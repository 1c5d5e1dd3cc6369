package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
)

// front is the handler of the HTTP server: static files, and the bridge for everything else. It
// bounds how long a client may read nothing of an answer.
type front struct {
	bridge        *bridge.Handler
	application   http.Handler // the bridge, with traces if they are configured
	access        *accessLog
	clientTimeout time.Duration
	draining      atomic.Bool // the bridge refuses new requests, and each answer ends its connection
}

// newFront also creates the bridge, which the front does not close.
func newFront(ctx context.Context, cfg bridge.Config, access *accessLog, o *options) (f *front, err error) {
	f = &front{access: access, clientTimeout: time.Duration(o.Site.Timeouts.Client)}
	cfg.ServeFile, cfg.ClientConn = f.redirected, clientConn
	f.bridge, err = bridge.New(ctx, cfg)
	f.application = f.bridge
	return f, err
}

// isTraced reports whether there is a handler around the bridge's, which event loops would not call.
func (f *front) isTraced() bool { return f.application != http.Handler(f.bridge) }

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// The first of the two deadlines holds for files and short answers, the second for the bytes
	// that net/http sends after the handler. The bridge extends the deadline while it streams. An
	// aborted answer keeps its deadline.
	rc := http.NewResponseController(w)
	if err := rc.SetWriteDeadline(time.Now().Add(f.clientTimeout)); errors.Is(err, net.ErrClosed) {
		panic(http.ErrAbortHandler) // connlimit has closed the connection for another
	}
	if file := f.open(r); file != nil {
		status, bytes := f.file(w, r, file)
		f.access.static(r, f.bridge.Client(r), status, bytes)
	} else {
		f.application.ServeHTTP(w, r)
	}
	_ = rc.SetWriteDeadline(time.Now().Add(f.clientTimeout)) // all connections of this server support deadlines
}

// clientConn returns the connection of a request in HTTP; nil for one of a web server. It is
// bridge.SiteHooks.ClientConn.
func clientConn(_ http.ResponseWriter, r *http.Request) net.Conn {
	c, _ := r.Context().Value(connKey{}).(net.Conn)
	return c
}

// drain refuses new requests.
func (f *front) drain() {
	f.draining.Store(true)
	f.bridge.Refuse()
}

// open returns the static file that r requests, nil if the bridge must answer.
func (f *front) open(r *http.Request) *bridge.File {
	if f.draining.Load() {
		return nil // the bridge refuses the request
	}
	return f.bridge.File(r)
}

// file answers r with a static file.
func (f *front) file(w http.ResponseWriter, r *http.Request, file *bridge.File) (status int, bytes int64) {
	rc := http.NewResponseController(w)
	if r.ContentLength != 0 {
		_ = rc.SetReadDeadline(time.Now().Add(f.clientTimeout)) // net/http discards the body before it answers
	}
	if f.draining.Load() {
		w.Header().Set("Connection", "close")
	}
	counted := &countingWriter{ResponseWriter: w, extend: func() { _ = rc.SetWriteDeadline(time.Now().Add(f.clientTimeout)) }}
	file.ServeHTTP(counted, r)
	return counted.status, counted.bytes
}

// redirected answers a local redirect of the application to a static file. It is
// bridge.SiteHooks.ServeFile.
func (f *front) redirected(w http.ResponseWriter, r *http.Request) (status int, bytes int64) {
	file := f.bridge.File(r)
	if file == nil {
		return 0, 0
	}
	return f.file(w, r, file)
}

// countingWriter records the status and size of an answer, and extends the client's deadline with each
// write.
type countingWriter struct {
	http.ResponseWriter
	extend func()
	status int
	bytes  int64
}

func (c *countingWriter) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

func (c *countingWriter) Write(p []byte) (int, error) {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	c.extend()
	n, err := c.ResponseWriter.Write(p)
	c.bytes += int64(n)
	return n, err
}
