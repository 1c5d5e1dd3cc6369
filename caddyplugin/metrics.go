package caddyplugin

import (
	"errors"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-proxy/sluice/bridge/metrics"
)

// namespace is what the names of metrics begin with.
const namespace = "caddy_sluice"

func (a *application) newCollector() prometheus.Collector {
	return metrics.New(a.backend.Snapshot, metrics.Options{Namespace: namespace, Labels: prometheus.Labels{"application": a.name}})
}

// register shows a in the metrics of a configuration. Each has a registry of its own;
// what is counted is the application's, and goes on. This one may be there already, for
// another handler, or one of its name that is not in use any more.
func (a *application) register(registry *prometheus.Registry) error {
	err := registry.Register(a.collector)
	already := prometheus.AlreadyRegisteredError{}
	if !errors.As(err, &already) {
		return err
	}
	if already.ExistingCollector == a.collector {
		return nil
	}
	registry.Unregister(already.ExistingCollector)
	return registry.Register(a.collector)
}

// unregister undoes register when no lease of that configuration is left.
func (a *application) unregister(registry *prometheus.Registry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.ContainsFunc(a.leases, func(l *lease) bool { return l.out.registry == registry }) {
		registry.Unregister(a.collector)
	}
}
