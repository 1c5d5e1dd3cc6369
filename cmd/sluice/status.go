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
	"github.com/sluice-proxy/sluice/bridge/status"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/connlimit"
)

// statusTimeout is how long a request to the status listener, and its answer, may take on
// their way. There are few connections, and none may be held for longer.
const statusTimeout = 10 * time.Second

// statusListener serves --status.
type statusListener struct {
	http  *http.Server
	limit *connlimit.Limit
	stop  context.CancelFunc // a restart may take longer than we have
}

// newStatusListener serves the status of a bridge and of what is in front of it, and
// restarts its application if Sluice has started that. hosts are the names that requests may
// have in Host.
func newStatusListener(b *bridge.Handler, front func() frontSnapshot, limit *connlimit.Limit, hosts []string, log *slog.Logger) *statusListener {
	stops, stop := context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.Handle("/", status.Handler(func() snapshot { return snapshot{b.Snapshot(), front()} }))
	mux.Handle("GET /metrics", metricsHandler(b.Snapshot, front, log))
	if b.Application().Spawned() {
		mux.Handle("POST /restart", restartHandler(b, stops))
	}
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
	}, limit, stop}
}

func (s *statusListener) serve(l net.Listener) error { return s.http.Serve(accept(l, s.limit)) }

// statusGrace is how long questions may take that are asked at the end.
const statusGrace = time.Second

// end lets those be answered that have asked.
func (s *statusListener) end() {
	s.stop()
	s.http.SetKeepAlivesEnabled(false)
	ctx, cancel := context.WithTimeout(context.Background(), statusGrace)
	defer cancel()
	_ = s.limit.Drain(ctx) // Close ends what is left
	_ = s.http.Close()
}

// statusHosts are the host names for --status: those of --status-host, the one it listens
// at, and this machine's name if other machines can connect.
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
