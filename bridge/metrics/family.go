package metrics

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-proxy/sluice/bridge"
)

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

// family is a metric: all series with one name.
type family struct {
	name   string // without the namespace
	kind   prometheus.ValueType
	help   string
	labels []string
	read   reader
}

// reader reads the values of a family from a snapshot.
type reader func(*bridge.Snapshot, sink)

func families() []family {
	return slices.Concat(requestFamilies(), gateFamilies(), laneFamilies(), poolFamilies(), counterFamilies(),
		spoolFamilies(), authorizerFamilies(), holdFamilies(), fleetFamilies(), applicationFamilies(), processFamilies())
}

// sink receives the values of a family.
type sink struct {
	ch   chan<- prometheus.Metric
	desc *prometheus.Desc
	kind prometheus.ValueType // not used for a histogram

	names names
}

func (o sink) value(v float64, labels ...string) {
	o.ch <- prometheus.MustNewConstMetric(o.desc, o.kind, v, labels...)
}

// histogram sends a histogram. atMost has the number of values up to each bound.
func (o sink) histogram(count uint64, sum float64, atMost map[float64]uint64, labels ...string) {
	o.ch <- prometheus.MustNewConstHistogram(o.desc, count, sum, atMost, labels...)
}

// timestamp sends t, or nothing if t is zero.
func (o sink) timestamp(t time.Time, labels ...string) {
	if !t.IsZero() {
		o.value(float64(t.UnixMilli())/1000, labels...)
	}
}

// state sends 1 for the state is, unless that is empty, and 0 for all others. The state is the last
// label.
func (o sink) state(is string, all []string, labels ...string) {
	if is != "" && !slices.Contains(all, is) {
		all = append(slices.Clip(all), is)
	}
	for _, s := range all {
		o.value(truth(s == is), append(slices.Clip(labels), s)...)
	}
}

// number is the type of a value.
type number interface {
	~int | ~int64 | ~uint64 | ~float64
}

// single reads the value of a metric without labels.
func single[N number](value func(*bridge.Snapshot) N) reader {
	return func(s *bridge.Snapshot, out sink) { out.value(float64(value(s))) }
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
