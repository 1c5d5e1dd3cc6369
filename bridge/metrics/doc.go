// Package metrics shows the state of a bridge to Prometheus: a prometheus.Collector
// over bridge.Snapshot. docs/metrics.md lists the metrics.
//
// What always holds:
//
//   - A scrape takes one snapshot, and all its values are of that instant.
//   - There are as many series as there are lanes, reasons, states and instances of the
//     application. Paths, routes, flows and accounts are no labels.
//   - Counters, and the buckets of histograms, are there from the first scrape on, at 0.
//     What is not known has no series.
package metrics
