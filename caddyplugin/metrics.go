package caddyplugin

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-proxy/sluice/bridge/metrics"
)

// namespace is what the names of metrics begin with.
const namespace = "caddy_sluice"

func (a *application) newCollector() prometheus.Collector {
	return metrics.New(a.backend.Snapshot, metrics.Options{Namespace: namespace, Labels: prometheus.Labels{"application": a.name}})
}

// register shows a in the metrics of a configuration. Each has a registry of its own;
// what is counted is the application's, and goes on. An application of the same name, or
// this one for another handler, may be there already.
func (a *application) register(registry *prometheus.Registry) error {
	err := registry.Register(a.collector)
	if already := (prometheus.AlreadyRegisteredError{}); errors.As(err, &already) {
		return nil
	}
	return err
}
