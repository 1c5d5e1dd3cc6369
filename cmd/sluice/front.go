package main

import (
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
)

// front is what the HTTP server serves: static files, and the bridge for everything
// else. It bounds how long a client may take nothing of an answer.
type front struct {
	bridge *bridge.Bridge
	access *accessLog
	client time.Duration
}

func newFront(b *bridge.Bridge, access *accessLog, o *options) *front {
	return &front{bridge: b, access: access, client: time.Duration(o.client)}
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// A file or a short answer is written under the first of these deadlines, what
	// net/http sends after the handler under the second, and the bridge moves them
	// while it streams. An answer that is aborted keeps the one it has.
	rc := http.NewResponseController(w)
	if err := rc.SetWriteDeadline(time.Now().Add(f.client)); errors.Is(err, net.ErrClosed) {
		panic(http.ErrAbortHandler) // the connection was closed for others: see connlimit
	}
	if file := f.bridge.File(r); file != nil {
		f.file(w, r, file)
	} else {
		f.bridge.ServeHTTP(w, r)
	}
	_ = rc.SetWriteDeadline(time.Now().Add(f.client)) // every connection of this server has deadlines
}

func (f *front) file(w http.ResponseWriter, r *http.Request, file *bridge.File) {
	rc := http.NewResponseController(w)
	if r.ContentLength != 0 {
		_ = rc.SetReadDeadline(time.Now().Add(f.client)) // net/http reads the body away before it answers
	}
	counted := &countingWriter{ResponseWriter: w, extend: func() { _ = rc.SetWriteDeadline(time.Now().Add(f.client)) }}
	file.ServeHTTP(counted, r)
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
