package main

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
)

// front is what the HTTP server serves: static files, and the bridge for everything
// else. It bounds how long a client may take nothing of an answer.
type front struct {
	bridge *bridge.Bridge
	files  *files // nil if there are none to serve
	access *accessLog
	client time.Duration
	drains atomic.Bool // the bridge refuses what comes, and connections end with their answer
}

func newFront(b *bridge.Bridge, access *accessLog, o *options) *front {
	f := &front{bridge: b, access: access, client: time.Duration(o.client)}
	if o.serveStatic() {
		f.files = &files{b}
	}
	return f
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// A file or a short answer is written under the first of these deadlines, what
	// net/http sends after the handler under the second, and the bridge moves them
	// while it streams.
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Now().Add(f.client)) // every connection of this server has deadlines
	defer func() { _ = rc.SetWriteDeadline(time.Now().Add(f.client)) }()

	if f.files != nil && !f.drains.Load() {
		if name, ok := f.files.name(r); ok {
			f.file(w, r, name)
			return
		}
	}
	f.bridge.ServeHTTP(w, r)
}

// drain has requests refused that come from now on.
func (f *front) drain() {
	f.drains.Store(true)
	f.bridge.Refuse()
}

func (f *front) file(w http.ResponseWriter, r *http.Request, name string) {
	rc := http.NewResponseController(w)
	if r.ContentLength != 0 {
		_ = rc.SetReadDeadline(time.Now().Add(f.client)) // net/http reads the body away before it answers
	}
	if f.drains.Load() {
		w.Header().Set("Connection", "close")
	}
	counted := &countingWriter{ResponseWriter: w, extend: func() { _ = rc.SetWriteDeadline(time.Now().Add(f.client)) }}
	f.files.serve(counted, r, name)
	f.access.static(r, f.bridge.Client(r), counted.status, counted.bytes)
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
