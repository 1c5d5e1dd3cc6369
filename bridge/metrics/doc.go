// Package metrics exports the state of a bridge to Prometheus: a prometheus.Collector over
// bridge.Snapshot. docs/metrics.md lists the metrics.
//
// Begin with collector.go; family.go has what a metric consists of, and the other files have the
// metrics.
//
// What always holds:
//
//   - A scrape takes one snapshot, and all its values are of that instant.
//   - The number of series is bounded by the lanes, reasons and states and by the instances of the
//     application. Paths, routes and client keys are never labels.
//   - Counters and the buckets of histograms exist from the first scrape on, with the value 0. A
//     value that is not known has no series.
package metrics
