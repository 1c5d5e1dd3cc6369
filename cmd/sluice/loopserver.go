package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"time"

	evented "github.com/sluice-proxy/sluice/bridge/front"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/connlimit"
	"github.com/sluice-proxy/sluice/internal/halfclose"
)

// The values of --front.
const frontLoop, frontNet = "loop", "net"

// checkFront checks --front, and sets its default.
func (o *options) checkFront() error {
	switch {
	case o.frontKind == "" && evented.Supported:
		o.frontKind = frontLoop
	case o.frontKind == "":
		o.frontKind = frontNet
	case o.frontKind != frontLoop && o.frontKind != frontNet:
		return fmt.Errorf("--front %q: want loop or net", o.frontKind)
	case o.frontKind == frontLoop && !evented.Supported:
		return errors.New("--front loop: this system has no epoll; leave it out, or write --front net")
	}
	return nil
}

// loops is how many event loops there are: fewer than processors, of which the application needs
// some, and one loop does more in a turn than two.
func (o *options) loops() int { return min(max(runtime.GOMAXPROCS(0)/2, 1), 8) }

// serveInLoops serves HTTP in event loops, and what these leave to others with an http.Server.
func (s *frontServer) serveInLoops(ctx context.Context, list []net.Listener, o *options, limit *connlimit.Limit, log *slog.Logger) (*protocolServer, error) {
	accepting := make([]net.Listener, len(list))
	for i, l := range list {
		var err error
		if accepting[i], err = evented.Listen(l); err != nil {
			return nil, err
		}
	}
	loops, err := evented.New(evented.Config{
		Handler: s.front.bridge, Leave: func(r *http.Request) bool { return s.front.isForNet(r, o) },
		Track: limit.Track, Permit: limit.Permit, Done: limit.Done,
		HeaderTimeout: time.Duration(o.header), IdleTimeout: time.Duration(o.keepAlive),
		ClientTimeout: time.Duration(o.Site.Timeouts.Client), MaxHeader: int(o.maxHeader), Loops: o.loops(),
	})
	if err != nil {
		return nil, err
	}
	l := merge(accepting)
	server := s.httpServer(ctx, o, limit, log)
	s.framing.Listener = &handedOver{loops.Handed(), limit}
	return &protocolServer{
		limit: limit, listener: l, cut: loops.Cut,
		serve: func() error {
			failed := make(chan error, 2)
			go func() { failed <- server.Serve(s.framing) }()
			go func() { failed <- loops.Serve(limit.Listener(l)) }()
			return <-failed
		},
		close: func() error { return errors.Join(server.Close(), loops.Close()) },
	}, nil
}

// isForNet reports whether a request is not for a loop: one for a file, or one whose password takes
// long to check.
func (f *front) isForNet(r *http.Request, o *options) bool {
	if o.auth.isSet() && r.Header["Authorization"] != nil {
		return true
	}
	if f.draining.Load() {
		return false // the bridge refuses it
	}
	return f.bridge.HasFile(r)
}

// handedOver are the connections that loops leave to an http.Server.
type handedOver struct {
	net.Listener
	limit *connlimit.Limit
}

// Accept implements net.Listener.
func (h *handedOver) Accept() (net.Conn, error) {
	c, err := h.Listener.Accept()
	if err != nil {
		return nil, err
	}
	handed := c.(*evented.Handed)
	key := handed.Key
	handed.Conn = halfclose.Config{
		Permit: func(net.Conn) bool { return h.limit.Permit(key) },
		Done:   func(net.Conn) { h.limit.Done(key) },
	}.Wrap(handed.Conn)
	return handed, nil
}

// counted returns what the limit knows a connection as.
func counted(c net.Conn) net.Conn {
	if handed, ok := c.(*evented.Handed); ok {
		return handed.Key
	}
	return c
}

// halfClosing returns the connection whose end may be hidden.
func halfClosing(c net.Conn) net.Conn {
	if handed, ok := c.(*evented.Handed); ok {
		return handed.Conn
	}
	return c
}
