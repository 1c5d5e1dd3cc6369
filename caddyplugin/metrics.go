package caddyplugin

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-proxy/sluice/bridge/metrics"
	"github.com/sluice-proxy/sluice/bridge/registry"
)

// namespace is what the names of metrics begin with.
const namespace = "caddy_sluice"

// metricsIn shows applications in the metrics of a configuration. Each has a registry of its
// own; what is counted is the application's, and goes on.
func metricsIn(to *prometheus.Registry) func(*registry.Application) (hide func(), err error) {
	return func(a *registry.Application) (func(), error) {
		c := metrics.New(a.Backend().Snapshot, metrics.Options{Namespace: namespace, Labels: prometheus.Labels{"application": a.Name()}})
		return func() { to.Unregister(c) }, to.Register(c)
	}
}
