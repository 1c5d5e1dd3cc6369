package main

import (
	"log/slog"
	"net/http"
	"regexp"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/metrics"
)

// scrapes is how many may be under way: each reads what the system says of all processes.
const scrapes = 4

// notBase are the Go runtime's metrics that are in no base unit, which promtool warns of.
var notBase = regexp.MustCompile(`^/gc/gogc:percent$`)

// metricsHandler serves to Prometheus the metrics of the bridge, of what is in front of
// it, and of this process.
func metricsHandler(snapshot func() bridge.Snapshot, front func() frontSnapshot, log *slog.Logger) http.Handler {
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "sluice", Name: "build_info", Help: "1. The labels say what runs.",
		ConstLabels: prometheus.Labels{"version": versionText(), "go_version": runtime.Version()},
	})
	build.Set(1)
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		build,
		metrics.New(snapshot, metrics.Options{}),
		frontCollector{front},
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewGoCollector(collectors.WithoutGoCollectorRuntimeMetrics(notBase)),
	)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelError),
		MaxRequestsInFlight: scrapes,
	})
}
