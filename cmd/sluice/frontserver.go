package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/cgiserver"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/certs"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/connlimit"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/tlsfront"
	"github.com/sluice-proxy/sluice/internal/framing"
	"github.com/sluice-proxy/sluice/internal/halfclose"
)

// frontServer serves the front at --listen, from serve to drain: with a server for each
// protocol.
type frontServer struct {
	front    *front
	framing  *framing.Listener
	servers  map[cgiserver.Protocol]*protocolServer
	cut      context.CancelCauseFunc // cancels the contexts of all requests
	inherits bool                    // systemd keeps sockets open

	splitter *tlsfront.Splitter // nil: there is no TLS
	streams  *connlimit.Streams // of HTTP/2
	certs    *certs.Store
}

// protocolServer serves what was accepted in one protocol.
type protocolServer struct {
	limit  *connlimit.Limit
	serve  func() error
	close  func() error
	cut    func(error)           // ends the requests that BaseContext does not; nil: there are none
	goAway func(context.Context) // tells clients that the server ends; nil: there is no way to
}

// newFrontServer returns a server for the front of s at the listeners.
func newFrontServer(s *server, c *setup, limits map[cgiserver.Protocol]*connlimit.Limit, opened map[cgiserver.Protocol][]net.Listener) (_ *frontServer, err error) {
	ctx, cut := context.WithCancelCause(context.Background())
	f := &frontServer{
		front: s.front, framing: &framing.Listener{Refused: s.access.malformed, MaxHeader: c.Server.MaxHeader},
		servers: make(map[cgiserver.Protocol]*protocolServer), cut: cut, inherits: c.inherits(), certs: s.certs,
	}
	for protocol, list := range opened {
		if ofWebServers(protocol) {
			f.servers[protocol] = f.serveWebServer(ctx, protocol, merge(list), c, limits[protocol], s.log)
		}
	}
	if limit := limits[protocolHTTP]; limit != nil {
		clients := &clientServer{frontServer: f, ctx: ctx, setup: c, limit: limit, log: s.log}
		if f.servers[protocolHTTP], err = clients.serve(opened[protocolHTTP], opened[protocolHTTPS], s.inLoops, s.tlsConfig(c)); err != nil {
			cut(err)
			return nil, err
		}
	}
	return f, nil
}

// serveWebServer serves web servers in FastCGI or SCGI. Their connections are for all sites, so what
// bounds them is the largest value that a site has at the start.
func (s *frontServer) serveWebServer(ctx context.Context, protocol cgiserver.Protocol, l net.Listener, c *setup, limit *connlimit.Limit, log *slog.Logger) *protocolServer {
	server := &cgiserver.Server{
		Handler: http.HandlerFunc(s.front.webServer), Protocol: protocol, BaseContext: ctx, ConnState: limit.Track, Logger: log,
		HeaderTimeout: time.Duration(c.Server.Timeouts.Header), IdleTimeout: time.Duration(c.Server.Timeouts.KeepAlive),
		WriteTimeout: time.Duration(mostOf(c, func(s *config.HostedSite) config.Duration { return s.Timeouts.Client })),
		MaxParams:    mostOf(c, func(s *config.HostedSite) int { return s.MaxParams }), MaxConns: limit.Snapshot().Max, MaxRequests: c.gateRoom(),
		Authorizer:    slices.ContainsFunc(c.Applications, func(a *config.NamedApplication) bool { return a.Protocol == config.FastCGI }),
		ForwardStderr: c.Server.WebServerStderr == config.On,
	}
	return &protocolServer{limit: limit, serve: func() error { return server.Serve(limit.Listener(l)) }, close: server.Close}
}

// accept returns a listener for a server, which bounds the connections, and hides from the server
// that a waiting client has closed its sending side.
func accept(l net.Listener, limit *connlimit.Limit) net.Listener {
	return limit.Listener(hideHalfClosed(l, limit))
}

func hideHalfClosed(l net.Listener, limit *connlimit.Limit) net.Listener {
	return halfclose.Config{Permit: limit.Permit, Done: limit.Done}.Listener(l)
}

// track returns the ConnState for a server whose connections come from a listener of the limit. They may
// have been wrapped since then. One that is hijacked counts until its request has ended:
// releaseHijacked.
func track(limit *connlimit.Limit) func(net.Conn, http.ConnState) {
	return func(c net.Conn, s http.ConnState) {
		counts := s == http.StateHijacked && framing.Hijack(c)
		c = inner(c)
		halfclose.Track(halfClosing(c), s)
		if !counts {
			limit.Track(counted(c), s)
		}
	}
}

// inner returns the connection of a listener of the limit that c may wrap, in TLS as well.
func inner(c net.Conn) net.Conn {
	for {
		outer, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return c
		}
		c = outer.NetConn()
	}
}

// connKey is the key of a request's connection in its context.
type connKey struct{}

// releaseHijacked tells limit when a handler that has taken over a connection, and closed it, has
// ended.
func releaseHijacked(h http.Handler, limit *connlimit.Limit) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if c, ok := r.Context().Value(connKey{}).(net.Conn); ok && framing.IsHijacked(c) {
				limit.Track(counted(inner(c)), http.StateClosed)
			}
		}()
		h.ServeHTTP(w, r)
	})
}

// begin serves, and tells failed when a server fails.
func (s *frontServer) begin(failed chan<- error) {
	for _, server := range s.servers {
		go func() { failed <- server.serve() }()
	}
}

// stopAccepting leaves new connections to whoever accepts next from the sockets of systemd. Those that
// were accepted already are not refused either.
func (s *frontServer) stopAccepting() {
	var stops sync.WaitGroup
	for _, server := range s.servers {
		stops.Go(server.limit.StopAccepting)
	}
	stops.Wait()
}

// drain lets requests finish within timeouts.drain, or until a second signal, and then cuts the rest.
// http.Server.Shutdown would wait for connections without a request, and close them without an
// answer when one arrives.
func (s *frontServer) drain(of *server, signals <-chan os.Signal) {
	if s.inherits {
		s.stopAccepting()
	}
	of.drain()
	timeout, log := of.drainTimeout(), of.log
	ctx, done := drainContext(signals, timeout, of.access, log)
	defer done()
	var drains sync.WaitGroup
	var late atomic.Bool
	for _, server := range s.servers {
		if server.goAway != nil {
			drains.Go(func() { server.goAway(ctx) })
		}
		drains.Go(func() {
			if server.limit.Drain(ctx) != nil {
				late.Store(true)
			}
		})
	}
	drains.Wait()
	if late.Load() {
		why := "a second signal came"
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			why = "the drain timeout is over"
		}
		log.Warn("not everything has finished; closing what is left", "because", why, "drain_timeout", timeout, "requests", s.requests(), "advice", "raise "+of.front.current.Load().nameOf("timeouts.drain")+" if requests may take longer")
		s.cut(bridge.ErrShutdown)
		for _, server := range s.servers {
			if server.cut != nil {
				server.cut(bridge.ErrShutdown)
			}
			server.limit.Cut()
		}
	}
	s.cut(bridge.ErrShutdown) // releases the context
	for _, server := range s.servers {
		_ = server.close()
	}
}

func (s *frontServer) requests() (n int) {
	for _, server := range s.servers {
		n += server.limit.Requests()
	}
	return n
}

// snapshots are the states of the connections in each protocol.
func (s *frontServer) snapshots() (http connlimit.Snapshot, others map[cgiserver.Protocol]connlimit.Snapshot) {
	for protocol, server := range s.servers {
		if protocol == protocolHTTP {
			http = server.limit.Snapshot()
			continue
		}
		if others == nil {
			others = make(map[cgiserver.Protocol]connlimit.Snapshot)
		}
		others[protocol] = server.limit.Snapshot()
	}
	return http, others
}
