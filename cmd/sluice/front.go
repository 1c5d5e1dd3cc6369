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

// front is what the HTTP server serves: static files, and the bridge for everything
// else. It bounds how long a client may take nothing of an answer.
type front struct {
	bridge *bridge.Handler
	access *accessLog
	client time.Duration
	drains atomic.Bool // the bridge refuses what comes, and connections end with their answer
}

// newFront makes the bridge as well, which the front does not close.
func newFront(ctx context.Context, cfg bridge.Config, access *accessLog, o *options) (f *front, err error) {
	f = &front{access: access, client: time.Duration(o.Site.Timeouts.Client)}
	cfg.ServeFile = f.redirected
	f.bridge, err = bridge.New(ctx, cfg)
	return f, err
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// A file or a short answer is written under the first of these deadlines, what
	// net/http sends after the handler under the second, and the bridge moves them
	// while it streams. An answer that is aborted keeps the one it has.
	rc := http.NewResponseController(w)
	if err := rc.SetWriteDeadline(time.Now().Add(f.client)); errors.Is(err, net.ErrClosed) {
		panic(http.ErrAbortHandler) // the connection was closed for others: see connlimit
	}
	if file := f.open(r); file != nil {
		status, bytes := f.file(w, r, file)
		f.access.static(r, f.bridge.Client(r), status, bytes)
	} else {
		f.bridge.ServeHTTP(w, r)
	}
	_ = rc.SetWriteDeadline(time.Now().Add(f.client)) // every connection of this server has deadlines
}

// drain has requests refused that come from now on.
func (f *front) drain() {
	f.drains.Store(true)
	f.bridge.Refuse()
}

// open returns the static file that r asks for, nil if the bridge is to answer.
func (f *front) open(r *http.Request) *bridge.File {
	if f.drains.Load() {
		return nil // it refuses the request
	}
	return f.bridge.File(r)
}

// file answers r with a static file.
func (f *front) file(w http.ResponseWriter, r *http.Request, file *bridge.File) (status int, bytes int64) {
	rc := http.NewResponseController(w)
	if r.ContentLength != 0 {
		_ = rc.SetReadDeadline(time.Now().Add(f.client)) // net/http reads the body away before it answers
	}
	if f.drains.Load() {
		w.Header().Set("Connection", "close")
	}
	counted := &countingWriter{ResponseWriter: w, extend: func() { _ = rc.SetWriteDeadline(time.Now().Add(f.client)) }}
	file.ServeHTTP(counted, r)
	return counted.status, counted.bytes
}

// redirected answers a local redirect of the application that leads to a static file. It is
// bridge.SiteHooks.ServeFile.
func (f *front) redirected(w http.ResponseWriter, r *http.Request) (status int, bytes int64) {
	file := f.bridge.File(r)
	if file == nil {
		return 0, 0
	}
	return f.file(w, r, file)
}

// countingWriter notes what was sent, and gives the client its time anew for
// every piece it takes.
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
