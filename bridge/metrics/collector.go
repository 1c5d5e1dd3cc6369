package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-proxy/sluice/bridge"
)

// Options say how metrics are named.
type Options struct {
	// Namespace is the first part of every name. Empty: "sluice".
	Namespace string
	// Labels are added to every metric. They distinguish bridges that are registered in one
	// registry. All of these must have the same label names.
	Labels prometheus.Labels
}

// Collector collects the metrics of one bridge.
type Collector struct {
	snapshot func() bridge.Snapshot
	families []family
	descs    []*prometheus.Desc // of families, in the same order
}

// New returns a collector of the snapshots that snapshot returns, such as a bridge.Handler's Snapshot. The
// collector calls snapshot once for each scrape, concurrently if scrapes are concurrent. If a name
// is not valid for Prometheus, registering the collector fails.
func New(snapshot func() bridge.Snapshot, o Options) *Collector {
	if o.Namespace == "" {
		o.Namespace = "sluice"
	}
	c := &Collector{snapshot: snapshot, families: families()}
	for _, f := range c.families {
		name := prometheus.BuildFQName(o.Namespace, "", f.name)
		c.descs = append(c.descs, prometheus.NewDesc(name, f.help, f.labels, o.Labels))
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	s := c.snapshot()
	names := nameInstances(&s)
	for i, f := range c.families {
		f.read(&s, sink{ch, c.descs[i], f.kind, names})
	}
}
