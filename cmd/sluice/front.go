package main

import (
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
)

// front is what the HTTP server serves: hidden paths, static files, and the
// bridge for everything else. It bounds how long a client may take nothing of an
// answer.
type front struct {
	bridge *bridge.Bridge
	files  *files // nil if there are none to serve
	hide   []string
	access *accessLog
	client time.Duration
}

func newFront(b *bridge.Bridge, access *accessLog, o *options) *front {
	f := &front{bridge: b, access: access, client: time.Duration(o.client)}
	if o.preset == "php" {
		f.hide = o.hide
		if o.static {
			f.files = &files{b}
		}
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

	if f.hidden(r.URL.Path) {
		f.notFound(w, r)
		return
	}
	if f.files != nil {
		if name, ok := f.files.name(r); ok {
			f.file(w, r, name)
			return
		}
	}
	f.bridge.ServeHTTP(w, r)
}

// hidden looks at the path as the presets do: without dot segments and empty ones.
func (f *front) hidden(urlPath string) bool {
	if len(f.hide) == 0 {
		return false
	}
	clean := path.Clean("/" + urlPath)
	for _, p := range f.hide {
		rest, ok := strings.CutPrefix(clean, strings.TrimSuffix(p, "/"))
		if ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}

func (f *front) notFound(w http.ResponseWriter, r *http.Request) {
	counted := &countingWriter{ResponseWriter: w}
	http.Error(counted, "404 Not Found", http.StatusNotFound)
	f.access.static(r, f.bridge.Client(r), counted.status, counted.bytes)
}

func (f *front) file(w http.ResponseWriter, r *http.Request, name string) {
	counted := &countingWriter{ResponseWriter: w, extend: func() {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(f.client))
	}}
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
	if c.extend != nil {
		c.extend()
	}
	n, err := c.ResponseWriter.Write(p)
	c.bytes += int64(n)
	return n, err
}
