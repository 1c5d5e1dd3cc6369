package main

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/status"
)

// statusServer serves the status of a bridge, and lets its application be restarted if
// that is ours. listen is what --status says.
func statusServer(b *bridge.Bridge, listen string, log *slog.Logger) *http.Server {
	stops, stop := context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.Handle("/", status.Handler(b.Snapshot))
	mux.Handle("GET /metrics", metricsHandler(b.Snapshot, log))
	if b.Spawned() {
		mux.Handle("POST /restart", restartHandler(b, listen, stops))
	}
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	s.RegisterOnShutdown(stop) // a restart may take longer than we have
	return s
}
