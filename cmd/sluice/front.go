package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	evented "github.com/sluice-proxy/sluice/bridge/front"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/certs"
)

// front is the handler of the HTTP server: it finds the site of each request, and serves static
// files, and the bridge for everything else. It bounds how long a client may read nothing of an
// answer.
type front struct {
	access   *accessLog
	current  atomic.Pointer[generation] // in force
	draining atomic.Bool                // each answer ends its connection
	refusing atomic.Bool                // requests are refused
	certs    *certs.Store
	// securePort is where clients reach the https address; 0: there is none.
	securePort atomic.Int32
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g := f.current.Load()
	s := g.find(r)
	timeout := misdirectedTimeout
	if s != nil {
		timeout = s.clientTimeout()
	}
	// The first of the two deadlines holds for files and short answers, the second for the bytes
	// that net/http sends after the handler. The bridge extends the deadline while it streams. An
	// aborted answer keeps its deadline.
	rc := http.NewResponseController(w)
	if err := rc.SetWriteDeadline(time.Now().Add(timeout)); errors.Is(err, net.ErrClosed) {
		panic(http.ErrAbortHandler) // connlimit has closed the connection for another
	}
	if r.TLS != nil && s != nil && s.hsts != "" {
		w = &hstsWriter{ResponseWriter: w, value: s.hsts}
	}
	if f.challenge(w, r) {
		// A certificate authority has asked.
	} else if s == nil {
		f.misdirected(w, r)
	} else if f.redirects(g, s, r) {
		f.redirect(w, r)
	} else if file := s.open(r); file != nil {
		status, bytes := s.file(w, r, file)
		f.access.static(r, s.bridge.Client(r), status, bytes)
		if file.Cut() {
			panic(http.ErrAbortHandler)
		}
	} else {
		s.served.ServeHTTP(w, r)
	}
	_ = rc.SetWriteDeadline(time.Now().Add(timeout)) // all connections of this server support deadlines
}

// misdirectedTimeout is how long a client may send nothing, or take nothing of the answer, that asks
// for a host that no site has.
const misdirectedTimeout = 10 * time.Second

// misdirected answers a request for a host that no site has.
func (f *front) misdirected(w http.ResponseWriter, r *http.Request) {
	f.answer(w, r, http.StatusMisdirectedRequest, fmt.Sprintf("There is no site for the host %.200q.", r.Host))
}

// answer sends a short text, with the header of w.
func (f *front) answer(w http.ResponseWriter, r *http.Request, status int, sentence string) {
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(misdirectedTimeout)) // net/http discards the body before it answers
	}
	if f.draining.Load() {
		w.Header().Set("Connection", "close")
	}
	text := fmt.Sprintf("%d %s\n\n%s\n", status, http.StatusText(status), sentence)
	http.Error(w, text[:len(text)-1], status)
	client, _, _ := net.SplitHostPort(r.RemoteAddr) // of a unix socket, there is none
	bytes := len(text)
	if r.Method == http.MethodHead {
		bytes = 0
	}
	f.access.static(r, client, status, int64(bytes))
}

// webServer answers requests of web servers, which have sent static files themselves.
func (f *front) webServer(w http.ResponseWriter, r *http.Request) {
	if s := f.current.Load().find(r); s != nil {
		s.served.ServeHTTP(w, r)
		return
	}
	f.misdirected(w, r)
}

// looped returns the site for a request in an event loop, nil if the request is for net/http.
func (f *front) looped(r *http.Request) *evented.Site {
	g := f.current.Load()
	s := g.find(r)
	if s == nil || s.isForNet(r) || f.redirects(g, s, r) || f.isChallenge(r) {
		return nil
	}
	return s.looped
}

// clientConn returns the connection of a request in HTTP; nil for one of a web server. It is
// bridge.SiteHooks.ClientConn.
func clientConn(_ http.ResponseWriter, r *http.Request) net.Conn {
	c, _ := r.Context().Value(connKey{}).(net.Conn)
	return c
}

// drain has each answer end its connection. It refuses new requests, unless another process takes those
// that can still come.
func (f *front) drain(succeeded bool) {
	f.draining.Store(true)
	f.refusing.Store(!succeeded)
	for _, s := range f.current.Load().sites {
		if succeeded {
			s.bridge.EndConnections()
		} else {
			s.bridge.Refuse()
		}
	}
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
