package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-proxy/sluice/bridge"
)

// Options is how metrics are named.
type Options struct {
	// Namespace begins every name. Empty: "sluice".
	Namespace string
	// Labels are on every metric. They tell bridges apart that are registered in one
	// registry, and must have the same names for all of them.
	Labels prometheus.Labels
}

// Collector collects the metrics of one bridge.
type Collector struct {
	snapshot func() bridge.Snapshot
	families []family
	descs    []*prometheus.Desc // of the families
}

// New returns a collector of what snapshot returns: a Bridge's Snapshot. It is called
// once for every scrape, by several goroutines at the same time if there are several
// scrapes. Names that Prometheus does not allow are an error when it is registered.
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
