package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/bridge/config"
	evented "github.com/sluice-proxy/sluice/bridge/front"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/accepted"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/connlimit"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/tlsfront"
	"github.com/sluice-proxy/sluice/internal/halfclose"
)

// clientServer makes the server for HTTP, with and without TLS. All connections are of one limit.
// From there:
//
//	without TLS   event loops, and from these, or without them at once, http1
//	with TLS      the handshake, and then http1 or http2
type clientServer struct {
	*frontServer
	setup *setup
	limit *connlimit.Limit

	tasks []func() error // run until the server is closed
	ends  []func() error
}

// What HTTP/2 connections may have. The memory of one is bounded by these: what a client has sent and
// nobody has read yet, and the requests in progress, of which there are no more on all connections than
// there may be connections (connlimit.Streams).
const (
	maxStreams       = 100
	connectionWindow = 256 << 10
	streamWindow     = 128 << 10
	frameSize        = 16 << 10
)

// serve returns the server, for sockets without TLS and with it.
func (s *clientServer) serve(inLoops bool) (*protocolServer, error) {
	made := &protocolServer{limit: s.limit, plain: s.limit.Listener(), secure: s.limit.Listener()}
	made.wrap = func(at *socket, l net.Listener) net.Listener { return s.wrap(at, l, inLoops) }
	s.serveSecure(made)
	var plain net.Listener = made.plain
	if inLoops {
		handed, err := s.serveInLoops(made, plain)
		if err != nil {
			return nil, err
		}
		plain = handed
	}
	s.framing.Listener = merge([]net.Listener{s.splitter.HTTP1(), plain})
	server := s.httpServer()
	s.tasks = append(s.tasks, func() error { return server.Serve(s.framing) })
	s.ends = append([]func() error{server.Close}, s.ends...)
	made.serve, made.close = s.run, s.close
	return made, nil
}

// run serves until a part of the server fails.
func (s *clientServer) run() error {
	failed := make(chan error, len(s.tasks))
	for _, task := range s.tasks {
		go func() { failed <- task() }()
	}
	return <-failed
}

func (s *clientServer) close() (err error) {
	for _, end := range s.ends {
		err = errors.Join(err, end())
	}
	return err
}

func (s *clientServer) httpServer() *http.Server {
	c := &s.setup.Server
	return &http.Server{
		Handler:           releaseHijacked(s.front, s.limit),
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		BaseContext:       func(net.Listener) context.Context { return s.ctx },
		ConnState:         track(s.limit),
		ReadHeaderTimeout: time.Duration(c.Timeouts.Header),
		IdleTimeout:       time.Duration(c.Timeouts.KeepAlive),
		MaxHeaderBytes:    c.MaxHeader,
		ErrorLog:          slog.NewLogLogger(s.of.log.Handler(), slog.LevelWarn),
	}
}

// wrap makes the listener of a socket one of connections as who serves them needs them.
func (s *clientServer) wrap(at *socket, l net.Listener, inLoops bool) net.Listener {
	addressed := s.addressed(at, l)
	switch {
	case at.protocol == protocolHTTPS:
		return accepted.Secure(addressed)
	case addressed != l:
		return &told{addressed, s.limit, inLoops}
	case inLoops:
		return l // as prepared
	}
	return hideHalfClosed(l, s.limit)
}

// addressed returns l, or, where proxy_protocol is set, a listener of *accepted.Conn with the addresses
// that load balancers tell.
func (s *clientServer) addressed(at *socket, l net.Listener) net.Listener {
	if len(at.proxies) == 0 {
		return l
	}
	return accepted.Proxies{
		Sends: proxies(at.proxies), Timeout: time.Duration(s.setup.Server.Timeouts.Header), Most: max(s.limit.Snapshot().Max/8, 16), Logger: s.of.log,
	}.Listener(l)
}

// told are connections without TLS whose addresses a load balancer may have told.
type told struct {
	net.Listener
	limit   *connlimit.Limit
	inLoops bool
}

// Accept implements net.Listener.
func (t *told) Accept() (net.Conn, error) {
	c, err := t.Listener.Accept()
	if err != nil {
		return nil, err
	}
	of := c.(*accepted.Conn)
	if t.inLoops {
		return evented.Adopt(of.Conn, of.LocalAddr(), of.RemoteAddr(), of.Told)
	}
	of.Conn = halfclose.Config{
		Permit: func(net.Conn) bool { return t.limit.Permit(of) },
		Done:   func(net.Conn) { t.limit.Done(of) },
	}.Wrap(of.Conn)
	return of, nil
}

// serveSecure makes handshakes, and serves HTTP/2 on the connections of clients that want it.
func (s *clientServer) serveSecure(of *protocolServer) {
	cfg := s.tlsConfig(s.setup)
	cfg.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.tls.Load(), nil }
	s.streams = s.limit.Streams()
	s.splitter = tlsfront.New(tlsfront.Config{
		TLS: cfg, Timeout: time.Duration(s.setup.Server.Timeouts.Header), Track: s.limit.Track, BeforeHTTP2: s.limit.EndsItself, Logger: s.of.log,
	}, of.secure)
	server := s.httpServer()
	server.Handler = s.boundStreams(s.front)
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP2(true)
	server.HTTP2 = &http.HTTP2Config{
		MaxConcurrentStreams: maxStreams,
		MaxReadFrameSize:     frameSize, MaxReceiveBufferPerConnection: connectionWindow, MaxReceiveBufferPerStream: streamWindow,
		// Streams have deadlines of their own; this one ends a connection that takes nothing at all.
		WriteByteTimeout: time.Duration(mostOf(s.setup, func(s *config.HostedSite) config.Duration { return s.Timeouts.Client })),
	}
	s.tasks = append(s.tasks, s.splitter.Run, func() error {
		if err := server.Serve(s.splitter.HTTP2()); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		<-s.ctx.Done() // it drains, which is no failure
		return http.ErrServerClosed
	})
	// net/http leaves HTTP/2 connections alone, but for GOAWAY: they end with their last request.
	of.goAway = func(ctx context.Context) { _ = server.Shutdown(ctx) } // its error is that of ctx
	s.ends = append(s.ends, server.Close)
}

// boundStreams refuses requests in HTTP/2 beyond those that clients may have.
func (s *clientServer) boundStreams(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isClosed(clientConn(w, r)) {
			panic(http.ErrAbortHandler) // connlimit has closed the connection for another
		}
		end, ok := s.streams.Begin(addressOf(r))
		if !ok {
			w.Header().Set("Retry-After", "1")
			s.front.answer(w, r, http.StatusServiceUnavailable, "There are too many requests on HTTP/2 connections.")
			return
		}
		defer end()
		h.ServeHTTP(w, r)
	})
}

// isClosed reports whether this side has closed a connection.
func isClosed(c net.Conn) bool {
	socket, ok := inner(c).(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	return err != nil || raw.Control(func(uintptr) {}) != nil
}

// addressOf returns the address of a request's client, nil for a unix socket.
func addressOf(r *http.Request) net.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return nil
	}
	return net.TCPAddrFromAddrPort(at)
}

// serveInLoops serves HTTP in event loops. It returns the listener of what these leave to an
// http.Server.
func (s *clientServer) serveInLoops(of *protocolServer, from net.Listener) (net.Listener, error) {
	c := &s.setup.Server
	looping, err := evented.New(evented.Config{
		Find:  s.front.looped,
		Track: s.limit.Track, Permit: s.limit.Permit, Done: s.limit.Done,
		HeaderTimeout: time.Duration(c.Timeouts.Header), IdleTimeout: time.Duration(c.Timeouts.KeepAlive),
		MaxHeader: c.MaxHeader, Loops: loops(),
	})
	if err != nil {
		return nil, err
	}
	of.cut = looping.Cut
	s.tasks = append(s.tasks, func() error { return looping.Serve(from) })
	s.ends = append(s.ends, looping.Close)
	return &handedOver{looping.Handed(), s.limit}, nil
}
