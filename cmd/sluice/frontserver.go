package main

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/netip"
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

// frontServer serves clients and web servers, from newFrontServer to drain: with a server for each
// protocol, which is made when the first address for it is listened at.
type frontServer struct {
	of      *server
	front   *front
	framing *framing.Listener
	ctx     context.Context // of all requests
	cut     context.CancelCauseFunc
	failed  chan<- error // is told when a server fails
	tls     atomic.Pointer[tls.Config]
	certs   *certs.Store
	closing sync.Once

	mu       sync.Mutex // guards those below
	servers  map[cgiserver.Protocol]*protocolServer
	splitter *tlsfront.Splitter // nil: nothing is served in HTTP
	streams  *connlimit.Streams // of HTTP/2
	secure   bool               // there is an https address
}

// protocolServer serves what was accepted in one protocol.
type protocolServer struct {
	limit  *connlimit.Limit
	plain  *connlimit.Listener
	secure *connlimit.Listener // with TLS; nil: there is none in this protocol
	wrap   func(*socket, net.Listener) net.Listener
	serve  func() error
	close  func() error
	follow func(*setup)          // takes what another version of the configuration changes; nil: nothing
	cut    func(error)           // ends the requests that BaseContext does not; nil: there are none
	goAway func(context.Context) // tells clients that the server ends; nil: there is no way to
}

// newFrontServer returns a server for the front of s, which listens nowhere.
func newFrontServer(s *server, c *setup, failed chan<- error) *frontServer {
	ctx, cut := context.WithCancelCause(context.Background())
	return &frontServer{
		of: s, front: s.front, framing: &framing.Listener{Refused: s.access.malformed, MaxHeader: c.Server.MaxHeader},
		servers: make(map[cgiserver.Protocol]*protocolServer), ctx: ctx, cut: cut, failed: failed, certs: s.certs,
	}
}

// prepare makes the servers that a change of the sockets needs. Clients may have so many connections.
func (s *frontServer) prepare(change *socketChange, c *setup, most int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, protocol := range change.protocols() {
		if s.servers[protocol] != nil {
			continue
		}
		made, err := s.newServer(protocol, c, most)
		if err != nil {
			return err
		}
		s.servers[protocol] = made
		go func() { s.failed <- made.serve() }()
	}
	return nil
}

func (s *frontServer) newServer(protocol cgiserver.Protocol, c *setup, most int) (*protocolServer, error) {
	exempt := func(addr netip.Addr) bool { return s.front.current.Load().trusts(addr) }
	if ofWebServers(protocol) {
		exempt = func(netip.Addr) bool { return true } // a web server speaks for many
	}
	limit := connlimit.New(connlimit.Config{Max: most, MaxWaiting: max(most/8, 1), Exempt: exempt, Logger: s.of.log})
	if ofWebServers(protocol) {
		return s.serveWebServer(protocol, c, limit)
	}
	clients := &clientServer{frontServer: s, setup: c, limit: limit}
	return clients.serve(s.of.inLoops)
}

// commit has what was prepared take over. It returns the sockets that nobody needs any more.
func (s *frontServer) commit(change *socketChange, c *setup) (removed []*socket) {
	s.tls.Store(s.tlsConfig(c))
	s.share(change)
	for _, server := range s.all() {
		if server.follow != nil {
			server.follow(c)
		}
	}
	status := s.of.status
	return change.commit(func(at *socket, l net.Listener) (stop func() error) {
		if at.protocol == protocolStatus {
			return status.accept(l)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if at.protocol == protocolHTTPS {
			to := s.servers[protocolHTTP]
			return to.secure.Add(to.wrap(at, l))
		}
		to := s.servers[at.protocol]
		return to.plain.Add(to.wrap(at, l))
	})
}

// share gives each protocol an equal part of the connections; HTTP with and without TLS is one.
func (s *frontServer) share(change *socketChange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secure = len(change.listeners(protocolHTTPS)) > 0
	n := len(change.protocols())
	for _, server := range s.servers {
		server.limit.SetMax(max(s.of.most/n, 1), max(s.of.waiting/n, 1))
	}
}

// all returns the servers that there are.
func (s *frontServer) all() map[cgiserver.Protocol]*protocolServer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.servers)
}

// serveWebServer serves web servers in FastCGI or SCGI. Their connections are for all sites, so what
// bounds their time is the largest value that a site has when there is the first address for them. How many
// connections there are is for the limit to say, which reloads change, as they do with the size and the number of
// requests.
func (s *frontServer) serveWebServer(protocol cgiserver.Protocol, c *setup, limit *connlimit.Limit) (*protocolServer, error) {
	files, err := descriptorLimit()
	if err != nil {
		return nil, err
	}
	server := &cgiserver.Server{
		Handler: http.HandlerFunc(s.front.webServer), Protocol: protocol, BaseContext: s.ctx, ConnState: limit.Track, Logger: s.of.log,
		HeaderTimeout: time.Duration(c.Server.Timeouts.Header), IdleTimeout: time.Duration(c.Server.Timeouts.KeepAlive),
		WriteTimeout:  time.Duration(mostOf(c, func(s *config.HostedSite) config.Duration { return s.Timeouts.Client })),
		MaxConns:      files,
		Authorizer:    slices.ContainsFunc(c.Applications, func(a *config.NamedApplication) bool { return a.Protocol == config.FastCGI }),
		ForwardStderr: c.Server.WebServerStderr == config.On,
	}
	from, follow := limit.Listener(), func(c *setup) {
		server.SetLimits(mostOf(c, func(s *config.HostedSite) int { return s.MaxParams }), limit.Snapshot().Max, c.gateRoom())
	}
	return &protocolServer{
		limit: limit, plain: from, wrap: func(_ *socket, l net.Listener) net.Listener { return l },
		serve: func() error { return server.Serve(from) }, close: server.Close,
		follow: follow,
	}, nil
}

// hideHalfClosed hides from the server that a waiting client has closed its sending side.
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

// stopAccepting leaves new connections to whoever accepts next from the sockets. Those that were
// accepted already are not refused either.
func (s *frontServer) stopAccepting() {
	var stops sync.WaitGroup
	for _, server := range s.all() {
		stops.Go(server.limit.StopAccepting)
	}
	stops.Wait()
}

// drain lets requests finish within timeouts.drain, or until a second signal, and then cuts the rest.
// http.Server.Shutdown would wait for connections without a request, and close them without an
// answer when one arrives.
func (s *frontServer) drain(signals <-chan os.Signal) {
	of, servers := s.of, s.all()
	succeeded := of.sockets.inherit() || of.successor != nil
	of.sockets.end()
	if succeeded {
		s.stopAccepting()
	}
	of.drain()
	timeout, log := of.drainTimeout(), of.log
	ctx, done := drainContext(signals, timeout, of.access, log)
	defer done()
	var drains sync.WaitGroup
	var late atomic.Bool
	for _, server := range servers {
		if server.goAway != nil {
			drains.Go(func() { server.goAway(ctx) })
		}
		drains.Go(func() {
			if server.limit.Drain(ctx) != nil {
				late.Store(true)
			}
		})
	}
	if p := of.predecessor; p.holds() {
		drains.Go(func() { // systemd ends what is left when this process has ended
			select {
			case <-p.ended:
			case <-ctx.Done():
			}
		})
	}
	drains.Wait()
	of.endSites(ctx)
	if late.Load() {
		why := "a second signal came"
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			why = "the drain timeout is over"
		}
		log.Warn("not everything has finished; closing what is left", "because", why, "drain_timeout", timeout, "requests", s.requests(), "advice", "raise "+of.front.current.Load().nameOf("timeouts.drain")+" if requests may take longer")
		s.cut(bridge.ErrShutdown)
		for _, server := range servers {
			if server.cut != nil {
				server.cut(bridge.ErrShutdown)
			}
			server.limit.Cut()
		}
	}
	s.close()
}

// close ends all connections.
func (s *frontServer) close() {
	s.closing.Do(func() {
		s.cut(bridge.ErrShutdown) // releases the context
		for _, server := range s.all() {
			_ = server.close()
		}
	})
}

func (s *frontServer) requests() (n int) {
	for _, server := range s.all() {
		n += server.limit.Requests()
	}
	return n
}

// snapshots are the states of the connections in each protocol.
func (s *frontServer) snapshots() (http connlimit.Snapshot, others map[cgiserver.Protocol]connlimit.Snapshot) {
	for protocol, server := range s.all() {
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
