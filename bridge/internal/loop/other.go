//go:build !linux

package loop

import (
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/blocking"
)

// Supported reports whether there are loops on this system.
const Supported = false

var errUnsupported = errors.New("loop: this system has no epoll")

// Site is that of Linux.
type Site = blocking.Served

// Config is that of Linux.
type Config struct {
	Find                       func(*http.Request) *Site
	Track                      func(net.Conn, http.ConnState)
	Permit                     func(net.Conn) bool
	Done                       func(net.Conn)
	HeaderTimeout, IdleTimeout time.Duration
	MaxHeader, Loops           int
}

// Server is that of Linux. There is none here.
type Server struct{}

// Conn is that of Linux. There is none here.
type Conn struct{ net.Conn }

// Handed is that of Linux. There is none here.
type Handed struct {
	net.Conn
	Key *Conn
}

// New returns an error.
func New(Config) (*Server, error) { return nil, errUnsupported }

// Listen returns an error.
func Listen(net.Listener) (net.Listener, error) { return nil, errUnsupported }

// Adopt returns an error.
func Adopt(net.Conn, net.Addr, net.Addr, bool) (net.Conn, error) { return nil, errUnsupported }

// Handed is not called.
func (*Server) Handed() net.Listener { return nil }

// Serve is not called.
func (*Server) Serve(net.Listener) error { return errUnsupported }

// Cut is not called.
func (*Server) Cut(error) {}

// Close is not called.
func (*Server) Close() error { return nil }
