package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/connlimit"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/framing"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/halfclose"
)

// frontServer serves the front at --listen, from serve to drain.
type frontServer struct {
	front   *front
	framing *framing.Listener
	http    *http.Server
	limit   *connlimit.Limit
	cut     context.CancelCauseFunc // cancels the contexts of all requests
}

// newFrontServer returns a server for f. It calls refused for each request with a malformed
// header.
func newFrontServer(f *front, o *options, limit *connlimit.Limit, refused func(net.Addr, *framing.Error, int), log *slog.Logger) *frontServer {
	ctx, cut := context.WithCancelCause(context.Background())
	return &frontServer{f, &framing.Listener{Refused: refused, MaxHeader: int(o.maxHeader)}, &http.Server{
		Handler:           releaseHijacked(f, limit),
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnState:         track(limit),
		ReadHeaderTimeout: time.Duration(o.header),
		IdleTimeout:       time.Duration(o.keepAlive),
		MaxHeaderBytes:    int(o.maxHeader),
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}, limit, cut}
}

// accept returns a listener for a server, which bounds the connections, and hides from the server
// that a waiting client has closed its sending side.
func accept(l net.Listener, limit *connlimit.Limit) net.Listener {
	return limit.Listener(halfclose.Config{Permit: limit.Permit, Done: limit.Done}.Listener(l))
}

// track returns the ConnState for a server with a listener of accept. The connections may have been
// wrapped once more. One that is hijacked counts until its request has ended: releaseHijacked.
func track(limit *connlimit.Limit) func(net.Conn, http.ConnState) {
	return func(c net.Conn, s http.ConnState) {
		counts := s == http.StateHijacked && framing.Hijack(c)
		c = inner(c)
		halfclose.Track(c, s)
		if !counts {
			limit.Track(c, s)
		}
	}
}

// inner returns the connection of a listener of accept that c may wrap.
func inner(c net.Conn) net.Conn {
	if outer, ok := c.(interface{ NetConn() net.Conn }); ok {
		return outer.NetConn()
	}
	return c
}

// connKey is the key of a request's connection in its context.
type connKey struct{}

// releaseHijacked tells limit when a handler that has taken over a connection, and closed it, has
// ended.
func releaseHijacked(h http.Handler, limit *connlimit.Limit) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if c, ok := r.Context().Value(connKey{}).(net.Conn); ok && framing.IsHijacked(c) {
				limit.Track(inner(c), http.StateClosed)
			}
		}()
		h.ServeHTTP(w, r)
	})
}

func (s *frontServer) serve(l net.Listener) error {
	s.framing.Listener = accept(l, s.limit)
	return s.http.Serve(s.framing)
}

// drain lets requests finish within timeout, or until a second signal, and then cuts the rest.
// http.Server.Shutdown would wait for connections without a request, and close them without an
// answer when one arrives.
func (s *frontServer) drain(signals <-chan os.Signal, timeout time.Duration, access *accessLog, log *slog.Logger) {
	ctx, done := drainContext(signals, timeout, access, log)
	defer done()
	s.front.drain()
	if err := s.limit.Drain(ctx); err != nil {
		why := "a second signal came"
		if errors.Is(err, context.DeadlineExceeded) {
			why = "the drain timeout is over"
		}
		log.Warn("not everything has finished; closing what is left", "because", why, "drain_timeout", timeout, "requests", s.limit.Requests())
		s.cut(bridge.ErrShutdown)
		s.limit.Cut()
	}
	s.cut(bridge.ErrShutdown) // releases the context
	_ = s.http.Close()
}
