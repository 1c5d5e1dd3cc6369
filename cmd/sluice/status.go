package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/page"
	"github.com/sluice-proxy/sluice/bridge/status"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/connlimit"
)

// statusTimeout is how long reading a request to the status listener, and writing its answer, may
// take: there are few connections, and none may be held for longer.
const statusTimeout = 10 * time.Second

// statusListener serves --status.
type statusListener struct {
	http  *http.Server
	page  *page.Page
	limit *connlimit.Limit
	stop  context.CancelFunc // cancels a restart in progress
}

// mostViewers is how many browsers may have the page open. Other requests must find a connection,
// too.
const mostViewers = statusConnections - 24

// newStatusListener serves the page, the state of a bridge and of the servers in front, and the
// restart of the application, which has that name. hosts are the permitted host names of requests.
func newStatusListener(b *bridge.Handler, name string, front func() frontSnapshot, limit *connlimit.Limit, hosts []string, log *slog.Logger) *statusListener {
	stops, stop := context.WithCancel(context.Background())
	mux := http.NewServeMux()
	live := page.New(page.Options{
		Applications: func() []page.Named { return []page.Named{{Name: name, Application: b.Application()}} },
		Front:        func() page.Front { return front().page() },
		Version:      versionText(),
		MaxViewers:   mostViewers,
	})
	for _, path := range []string{"/{$}", "/static/", "/view.json", "/stream"} {
		mux.Handle(path, live)
	}
	mux.Handle("/", status.Handler(func() snapshot { return snapshot{b.Snapshot(), front(), requestSnapshots(b)} }))
	mux.Handle("GET /metrics", metricsHandler(b.Snapshot, front, log))
	mux.Handle("POST /restart", restartHandler(b, stops))
	var told sync.Once
	guarded := status.Guard(mux, hosts, func(host string) {
		told.Do(func() {
			log.Warn("a request to the status listener had an unknown host; if it is a name of this server, add --status-host", "host", host)
		})
	})
	return &statusListener{&http.Server{
		Handler: guarded, ReadTimeout: statusTimeout, WriteTimeout: statusTimeout, IdleTimeout: time.Minute,
		ConnState: track(limit),
		ErrorLog:  slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}, live, limit, stop}
}

func (s *statusListener) serve(l net.Listener) error { return s.http.Serve(accept(l, s.limit)) }

// statusGrace is how long requests may take at the end.
const statusGrace = time.Second

// close waits for the requests in progress, and closes the listener.
func (s *statusListener) close() {
	s.stop()
	s.page.Close()
	s.http.SetKeepAlivesEnabled(false)
	ctx, cancel := context.WithTimeout(context.Background(), statusGrace)
	defer cancel()
	_ = s.limit.Drain(ctx) // Close ends the rest
	_ = s.http.Close()
}

// statusHosts returns the host names for --status: those of --status-host, the one in its address,
// and this machine's name if other machines can connect.
func (o *options) statusHosts() []string {
	own := status.Hostname(o.status.addr)
	hosts := slices.Clone(o.statusNames)
	addr, err := netip.ParseAddr(own)
	switch {
	case own != "" && err != nil:
		hosts = append(hosts, own)
	case err == nil && addr.IsLoopback():
		return hosts
	}
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	return hosts
}
