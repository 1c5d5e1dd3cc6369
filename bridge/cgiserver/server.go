package cgiserver

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Protocol is what web servers speak to a Server.
type Protocol string

// The values of a Protocol.
const (
	FastCGI Protocol = "fastcgi"
	SCGI    Protocol = "scgi"
)

// The defaults of a Server.
const (
	DefaultHeaderTimeout = 10 * time.Second
	DefaultIdleTimeout   = 75 * time.Second // nginx closes its own after 60 s
	DefaultWriteTimeout  = 60 * time.Second
	DefaultMaxParams     = 256 << 10
	DefaultMaxConns      = 1024
	DefaultMaxRequests   = 4096
)

// ErrServerClosed is returned by Serve after Shutdown or Close.
var ErrServerClosed = errors.New("cgiserver: server closed")

// Server takes requests from web servers. Only they may be able to connect: what they say of a
// client and its user is believed. The fields must not be changed after the first call of Serve.
type Server struct {
	Handler http.Handler
	// Protocol is FastCGI (the default) or SCGI.
	Protocol Protocol

	// HeaderTimeout is how long the variables of a request may take. IdleTimeout is how long a
	// connection may have no request. WriteTimeout is how long a web server may take nothing of
	// an answer, unless the handler sets a deadline.
	HeaderTimeout, IdleTimeout, WriteTimeout time.Duration
	// MaxParams is the largest set of variables, in bytes; a request with more is answered with
	// 431. MaxConns is how many connections there may be; more wait. MaxRequests is how many
	// requests there may be on all of them; more are answered with 503.
	MaxParams, MaxConns, MaxRequests int
	// Authorizer says that the handler answers requests in the role of an authorizer, too (see
	// cgi.Received). Default: they are refused with UNKNOWN_ROLE.
	Authorizer bool
	// ForwardStderr sends what the application writes to its standard error to the web server,
	// which writes it to its error log. Default: only this program's log has it.
	ForwardStderr bool

	// BaseContext is the parent of the contexts of all requests. Default: context.Background.
	BaseContext context.Context
	// ConnState is told of connections as that of an http.Server is. It may be called with a lock
	// of the connection held, and must not wait for the connection.
	ConnState func(net.Conn, http.ConnState)
	// Logger is told of panics, of web servers that break the protocol, and of roles that are
	// refused, the latter once for each. Default: slog.Default.
	Logger *slog.Logger

	once        sync.Once
	slots       chan struct{} // has one for each connection
	requests    atomic.Int64
	maxParams   atomic.Int64 // MaxParams, or what SetLimits has put in its place
	maxConns    atomic.Int64 // the same of MaxConns, as web servers are told
	maxRequests atomic.Int64 // the same of MaxRequests
	roles       sync.Map     // the roles that the log was told of

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[conn]struct{}
	closed    bool
	draining  atomic.Bool
	running   sync.WaitGroup // connections, with their requests
}

// conn is a connection of either protocol.
type conn interface {
	serve()
	// drain closes the connection as soon as it has no request.
	drain()
	// cut closes it now.
	cut()
}

func (s *Server) init() {
	s.once.Do(func() {
		defaultTo(&s.HeaderTimeout, DefaultHeaderTimeout)
		defaultTo(&s.IdleTimeout, DefaultIdleTimeout)
		defaultTo(&s.WriteTimeout, DefaultWriteTimeout)
		defaultTo(&s.MaxParams, DefaultMaxParams)
		defaultTo(&s.MaxConns, DefaultMaxConns)
		defaultTo(&s.MaxRequests, DefaultMaxRequests)
		if s.BaseContext == nil {
			s.BaseContext = context.Background()
		}
		if s.Logger == nil {
			s.Logger = slog.Default()
		}
		s.maxParams.Store(int64(s.MaxParams))
		s.maxConns.Store(int64(s.MaxConns))
		s.maxRequests.Store(int64(s.MaxRequests))
		s.slots = make(chan struct{}, s.MaxConns)
		s.listeners, s.conns = make(map[net.Listener]struct{}), make(map[conn]struct{})
	})
}

func defaultTo[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// SetLimits changes MaxParams and MaxRequests. It may be called at any time. Requests that are too many
// stay. Of MaxConns it changes only what web servers are told that ask (GET_VALUES): it is for a program
// whose listener bounds the connections itself.
func (s *Server) SetLimits(maxParams, maxConns, maxRequests int) {
	s.init()
	s.maxParams.Store(int64(maxParams))
	s.maxConns.Store(int64(maxConns))
	s.maxRequests.Store(int64(maxRequests))
}

// Serve accepts connections until l fails, or Shutdown or Close is called: then the error is
// ErrServerClosed. It closes l. It may be called for several listeners.
func (s *Server) Serve(l net.Listener) error {
	s.init()
	defer l.Close()
	if !s.track(l) {
		return ErrServerClosed
	}
	defer s.untrack(l)
	for pause := time.Duration(0); ; {
		s.slots <- struct{}{}
		c, err := l.Accept()
		if err == nil {
			pause = 0
			if !s.begin(c, func() { <-s.slots }) {
				_ = c.Close() // nothing was read from it
				<-s.slots
			}
			continue
		}
		<-s.slots
		if s.isClosed() {
			return ErrServerClosed
		}
		//lint:ignore SA1019 there is no other way to tell "too many open files" from a closed listener
		if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Temporary() {
			return err
		}
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		s.Logger.Warn("accepting a web server's connection failed; trying again", "error", err.Error(), "after", pause, "advice", "raise the limit of open files, if that is the error")
		time.Sleep(pause)
	}
}

// ServeConn serves one connection, and returns when that is closed. It closes c. MaxConns does
// not bound these.
func (s *Server) ServeConn(c net.Conn) {
	s.init()
	done := make(chan struct{})
	if !s.begin(c, func() { close(done) }) {
		_ = c.Close() // nothing was read from it
		return
	}
	<-done
}

// begin serves a connection in a goroutine of its own, unless the server is closed.
func (s *Server) begin(c net.Conn, ended func()) bool {
	served := s.newConn(c)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return false
	}
	s.conns[served] = struct{}{}
	s.running.Add(1)
	s.mu.Unlock()
	s.state(c, http.StateNew)
	go func() {
		defer s.running.Done()
		defer ended()
		served.serve()
		s.mu.Lock()
		delete(s.conns, served)
		s.mu.Unlock()
		s.state(c, http.StateClosed)
	}()
	return true
}

func (s *Server) newConn(c net.Conn) conn {
	if s.Protocol == SCGI {
		return newSCGIConn(s, c)
	}
	return newFastCGIConn(s, c)
}

func (s *Server) state(c net.Conn, state http.ConnState) {
	if s.ConnState != nil {
		s.ConnState(c, state)
	}
}

func (s *Server) track(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) untrack(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Shutdown closes the listeners and the connections without a request, and waits until the
// requests that there are have ended. If ctx ends before, it returns ctx's error: call Close.
func (s *Server) Shutdown(ctx context.Context) error {
	for _, c := range s.stop() {
		c.drain()
	}
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close closes the listeners and all connections, which ends the contexts of their requests, and
// waits until the handlers have returned. The error is always nil.
func (s *Server) Close() error {
	for _, c := range s.stop() {
		c.cut()
	}
	s.running.Wait()
	return nil
}

// stop closes the listeners, and returns the connections that there are.
func (s *Server) stop() []conn {
	s.init()
	s.draining.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for l := range s.listeners {
		_ = l.Close() // Serve returns either way
	}
	list := make([]conn, 0, len(s.conns))
	for c := range s.conns {
		list = append(list, c)
	}
	return list
}

// enter counts a request, and reports whether there is room for it. leave must be called then.
func (s *Server) enter() bool {
	if s.requests.Add(1) > s.maxRequests.Load() {
		s.requests.Add(-1)
		return false
	}
	return true
}

func (s *Server) leave() { s.requests.Add(-1) }
