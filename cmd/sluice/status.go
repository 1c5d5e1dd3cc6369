package main

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/status"
)

// statusServer serves the status of a bridge and of what is in front of it, and lets its
// application be restarted if that is ours. listen is what --status says.
func statusServer(b *bridge.Bridge, front func() frontSnapshot, listen string, log *slog.Logger) *http.Server {
	stops, stop := context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.Handle("/", status.Handler(func() snapshot { return snapshot{b.Snapshot(), front()} }))
	mux.Handle("GET /metrics", metricsHandler(b.Snapshot, front, log))
	if b.Spawned() {
		mux.Handle("POST /restart", restartHandler(b, listen, stops))
	}
	s := &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	s.RegisterOnShutdown(stop) // a restart may take longer than we have
	return s
}
