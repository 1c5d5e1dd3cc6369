package front

import (
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/internal/loop"
)

// Supported reports whether this system has event loops.
const Supported = loop.Supported

// Conn is a client's connection, from Listen to the end of its last request. Read and Write are not
// for others.
type Conn = loop.Conn

// Handed is a connection that a loop leaves to others. Key is what it was before.
type Handed = loop.Handed

// Site is a bridge.Handler as loops serve it.
type Site = loop.Site

// NewSite returns a Site that serves with h, which must not have an ErrorHandler or ActsOnSendfile,
// and whose Identify must not take long. The error says what cannot be served.
func NewSite(h *bridge.Handler) (*Site, error) {
	s, err := h.Served()
	if err != nil {
		return nil, err
	}
	return &s, nil
}

// Config says what a Server serves. Find, Track, Permit and Done are called by loops, and must not
// block. The last three get what Listen has accepted.
type Config struct {
	// Find returns the site that is to answer a request; nil if the request is left to Handed. It
	// may return others for later requests: a request goes on at the site where it has begun.
	Find func(*http.Request) *Site
	// Track is called as http.Server.ConnState is, but not for a new connection. Default: nobody
	// wants to know.
	Track func(net.Conn, http.ConnState)
	// Permit reports whether a client that has closed its sending side may wait for its answer; Done
	// is called when one that may does not wait any more. Default: all may.
	Permit func(net.Conn) bool
	Done   func(net.Conn)
	// HeaderTimeout is how long a header may take, IdleTimeout how long a connection is kept without
	// a request. 0: no limit.
	HeaderTimeout, IdleTimeout time.Duration
	// MaxHeader is how many bytes a header may have, with the request line. Default: 64 KiB.
	MaxHeader int
	// Loops is how many event loops there are. Default: 1.
	Loops int
}

// Server serves connections in event loops. Its methods may be called concurrently.
type Server struct{ *loop.Server }

// New returns a server, which Close ends. Its error says that this system has no event loops, or
// has no room for them.
func New(cfg Config) (*Server, error) {
	if cfg.Find == nil {
		return nil, errors.New("front: Find is not set")
	}
	c := loop.Config{
		Find: cfg.Find, Track: cfg.Track, Permit: cfg.Permit, Done: cfg.Done,
		HeaderTimeout: cfg.HeaderTimeout, IdleTimeout: cfg.IdleTimeout,
		MaxHeader: cfg.MaxHeader, Loops: max(cfg.Loops, 1),
	}
	if c.Track == nil {
		c.Track = func(net.Conn, http.ConnState) {}
	}
	if c.Permit == nil {
		c.Permit, c.Done = func(net.Conn) bool { return true }, func(net.Conn) {}
	}
	if c.MaxHeader == 0 {
		c.MaxHeader = 64 << 10
	}
	s, err := loop.New(c)
	if err != nil {
		return nil, err
	}
	return &Server{s}, nil
}

// Listen returns a listener of connections for Serve, which accepts from l, a TCP or unix listener.
// Others may bound how many there are before Serve gets them.
func Listen(l net.Listener) (net.Listener, error) { return loop.Listen(l) }

// Adopt returns a connection for Serve that goes on with one of package net, TCP or unix, which Adopt
// closes. Nothing of the client's requests may have been read. The addresses are the socket's, or, if
// told is true, those that a proxy has told of the client.
func Adopt(c net.Conn, local, remote net.Addr, told bool) (net.Conn, error) {
	return loop.Adopt(c, local, remote, told)
}
