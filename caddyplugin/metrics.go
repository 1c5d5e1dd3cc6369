package caddyplugin

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-proxy/sluice/bridge/metrics"
	"github.com/sluice-proxy/sluice/bridge/registry"
)

// namespace is the prefix of the metrics' names.
const namespace = "caddy_sluice"

// metricsIn returns a function that registers an application's metrics in the registry of a
// configuration. The counters belong to the application, and continue over configurations.
func metricsIn(to *prometheus.Registry) func(*registry.Application) (hide func(), err error) {
	return func(a *registry.Application) (func(), error) {
		c := metrics.New(a.Application().Snapshot, metrics.Options{Namespace: namespace, Labels: prometheus.Labels{"application": a.Name()}})
		return func() { to.Unregister(c) }, to.Register(c)
	}
}
