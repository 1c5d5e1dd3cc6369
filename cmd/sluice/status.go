package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/status"
)

// statusServer serves the status of a bridge, and lets its application be restarted if
// that is ours. hosts are the names that it may be asked by.
func statusServer(b *bridge.Bridge, hosts []string, log *slog.Logger) *http.Server {
	stops, stop := context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.Handle("/", status.Handler(b.Snapshot))
	mux.Handle("GET /metrics", metricsHandler(b.Snapshot, log))
	if b.Spawned() {
		mux.Handle("POST /restart", restartHandler(b, stops))
	}
	var told sync.Once
	guarded := status.Guard(mux, hosts, func(host string) {
		told.Do(func() {
			log.Warn("the status was asked for by a name that is not known; if it is this server's, name it with --status-host", "host", host)
		})
	})
	s := &http.Server{Handler: guarded, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	s.RegisterOnShutdown(stop) // a restart may take longer than we have
	return s
}

// statusHosts are the names that the status may be asked by: those that were given, the
// one that it listens at, and, where others than this machine can ask, this machine's.
func (o *options) statusHosts() []string {
	own := status.Hostname(o.status)
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
