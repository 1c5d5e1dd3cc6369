package caddyplugin

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/sluice-proxy/sluice/bridge/cgiserver"
)

// sharedServers has a sharedServer for each webServerKey.
var sharedServers = caddy.NewUsagePool()

// cutTimeout is how long handlers may take to return after the end of the grace period.
const cutTimeout = 5 * time.Second

// sharedServer serves web servers at one address for all configurations that have it. A reload
// closes no connection: FastCGI cannot tell a web server that a connection is about to be closed,
// and a POST that the web server sends at that moment would be lost.
type sharedServer struct {
	net.Listener
	server  *cgiserver.Server
	drained chan struct{} // closed when there are no requests anymore, after Destruct

	mu       sync.Mutex
	attached []*webServerListener // the last one has the handler of new requests; its handler stays when all have gone
	handler  http.Handler
	grace    time.Duration // of the configuration that was detached last; 0: no limit
}

// webServerListener is the listener that a server of the http app gets. It accepts no connection: the
// sharedServer does, and calls the handler. Caddy waits for Accept to return when it stops the
// server, so Accept returns when there are no requests that Caddy has to wait for.
type webServerListener struct {
	shared  *sharedServer
	key     webServerKey
	handler http.Handler
	grace   time.Duration
	once    sync.Once
	closed  chan struct{} // after Close
	last    bool          // no other configuration has the address; set before closed is closed
}

// attach returns a listener whose requests are answered by handler from now on.
func attach(key webServerKey, handler http.Handler, grace time.Duration, cfg net.ListenConfig) (net.Listener, error) {
	value, _, err := sharedServers.LoadOrNew(key, func() (caddy.Destructor, error) {
		l, err := key.listen(cfg)
		if err != nil {
			return nil, err
		}
		return newSharedServer(key, l), nil
	})
	if err != nil {
		return nil, err
	}
	l := &webServerListener{shared: value.(*sharedServer), key: key, handler: handler, grace: grace, closed: make(chan struct{})}
	l.shared.attach(l)
	return l, nil
}

func newSharedServer(key webServerKey, l net.Listener) *sharedServer {
	s := &sharedServer{Listener: l, drained: make(chan struct{})}
	s.server = &cgiserver.Server{
		Handler: s, Protocol: networks[key.network], Logger: webServerLog,
		HeaderTimeout: key.header, IdleTimeout: key.idle, MaxParams: key.maxParams,
		MaxConns: key.settings.MaxConnections, MaxRequests: key.settings.MaxRequests,
	}
	return s
}

// ServeHTTP answers r by the server of the latest configuration.
func (s *sharedServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	handler := s.handler
	s.mu.Unlock()
	handler.ServeHTTP(w, r)
}

// attach makes l the listener with the handler of new requests. The first one begins to serve.
func (s *sharedServer) attach(l *webServerListener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	begins := s.handler == nil
	s.attached, s.handler = append(s.attached, l), l.handler
	if !begins {
		return
	}
	go func() {
		if err := s.server.Serve(s.Listener); !errors.Is(err, cgiserver.ErrServerClosed) {
			webServerLog.Error("web servers are not served anymore", "address", l.Addr().String(), "error", err.Error(), "advice", "load the configuration again")
		}
	}()
}

// detach gives new requests to the listener that was attached before l, if l was the last one.
func (s *sharedServer) detach(l *webServerListener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.grace = l.grace
	s.attached = slices.DeleteFunc(s.attached, func(other *webServerListener) bool { return other == l })
	if n := len(s.attached); n > 0 {
		s.handler = s.attached[n-1].handler
	}
}

// Destruct closes the socket, and the connections when they have no request. It does not wait: see
// drained. After the grace period it cuts the rest.
func (s *sharedServer) Destruct() error {
	s.mu.Lock()
	grace := s.grace
	s.mu.Unlock()
	go func() {
		defer close(s.drained)
		ctx, stop := context.Background(), context.CancelFunc(func() {})
		if grace > 0 {
			ctx, stop = context.WithTimeout(ctx, grace)
		}
		defer stop()
		if s.server.Shutdown(ctx) == nil {
			return
		}
		webServerLog.Warn("requests of web servers have not finished within the grace period; cutting them", "address", s.Addr().String(), "grace_period", grace, "advice", "raise grace_period if they may take longer")
		cut := make(chan struct{})
		go func() {
			defer close(cut)
			_ = s.server.Close() // always nil
		}()
		select {
		case <-cut:
		case <-time.After(cutTimeout):
		}
	}()
	return nil
}

// Accept waits for Close, and then, if no other configuration has the address, until the requests
// have ended.
func (l *webServerListener) Accept() (net.Conn, error) {
	<-l.closed
	if l.last {
		<-l.shared.drained
	}
	return nil, net.ErrClosed
}

// Close detaches l. It does not wait: net/http holds a lock meanwhile.
func (l *webServerListener) Close() error {
	l.once.Do(func() {
		l.shared.detach(l)
		l.last, _ = sharedServers.Delete(l.key) // Destruct returns no error
		close(l.closed)
	})
	return nil
}

// Addr returns the address of the socket.
func (l *webServerListener) Addr() net.Addr { return l.shared.Addr() }

// webServerLog is the log of sharedServers.
var webServerLog = slog.New(latestLog{})

// latestLog writes to Caddy's log as the latest configuration has it.
type latestLog struct{}

func (latestLog) handler() slog.Handler { return slogOf(caddy.Log().Named("sluice.web_servers")) }

// Enabled implements slog.Handler.
func (h latestLog) Enabled(ctx context.Context, level slog.Level) bool {
	return h.handler().Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h latestLog) Handle(ctx context.Context, r slog.Record) error {
	return h.handler().Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h latestLog) WithAttrs(attrs []slog.Attr) slog.Handler { return h.handler().WithAttrs(attrs) }

// WithGroup implements slog.Handler.
func (h latestLog) WithGroup(name string) slog.Handler { return h.handler().WithGroup(name) }
