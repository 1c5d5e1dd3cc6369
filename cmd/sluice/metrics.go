package main

import (
	"log/slog"
	"net/http"
	"regexp"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sluice-proxy/sluice/bridge/metrics"
)

// maxScrapes is how many scrapes may run at once: each reads data of all processes.
const maxScrapes = 4

// notBaseUnit matches the Go runtime's metrics without a base unit, for which promtool warns.
var notBaseUnit = regexp.MustCompile(`^/gc/gogc:percent$`)

// metricsHandler serves the metrics of the bridge, of the servers in front, and of this process.
func metricsHandler(s *server, front func() frontSnapshot) http.Handler {
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "sluice", Name: "build_info", Help: "1. The labels say what runs.",
		ConstLabels: prometheus.Labels{"version": versionText(), "go_version": runtime.Version()},
	})
	build.Set(1)
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		build,
		applicationsCollector{s},
		frontCollector{front},
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewGoCollector(collectors.WithoutGoCollectorRuntimeMetrics(notBaseUnit)),
	)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(s.log.Handler(), slog.LevelError),
		MaxRequestsInFlight: maxScrapes,
	})
}

// applicationsCollector collects the metrics of all applications. Which there are changes with the
// configuration, so they are not declared beforehand. With a file, they have the label application.
type applicationsCollector struct{ server *server }

// Describe implements prometheus.Collector.
func (applicationsCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c applicationsCollector) Collect(ch chan<- prometheus.Metric) {
	g := c.server.front.current.Load()
	for _, a := range g.applications() {
		var o metrics.Options
		if g.path != "" {
			o.Labels = prometheus.Labels{"application": a.name}
		}
		metrics.New(a.Application.Application().Snapshot, o).Collect(ch)
	}
}
