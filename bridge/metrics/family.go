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

// family is a metric: all series of one name.
type family struct {
	name   string // without the namespace
	kind   prometheus.ValueType
	help   string
	labels []string
	read   reader
}

// reader takes a family's values from a snapshot.
type reader func(*bridge.Snapshot, sink)

func families() []family {
	return slices.Concat(requestFamilies(), gateFamilies(), laneFamilies(), poolFamilies(), counterFamilies(),
		spoolFamilies(), applicationFamilies(), processFamilies())
}

// sink is where the values of a family go.
type sink struct {
	ch   chan<- prometheus.Metric
	desc *prometheus.Desc
	kind prometheus.ValueType // not of a histogram

	names names
}

func (o sink) value(v float64, labels ...string) {
	o.ch <- prometheus.MustNewConstMetric(o.desc, o.kind, v, labels...)
}

// histogram takes the counts of what is at most each bound, those of lower bounds included.
func (o sink) histogram(count uint64, sum float64, atMost map[float64]uint64, labels ...string) {
	o.ch <- prometheus.MustNewConstHistogram(o.desc, count, sum, atMost, labels...)
}

// timestamp is that of t. There is none of what never was.
func (o sink) timestamp(t time.Time, labels ...string) {
	if !t.IsZero() {
		o.value(float64(t.UnixMilli())/1000, labels...)
	}
}

// state is 1 for the state there is, if it is known, and 0 for the others. The state is
// the last label.
func (o sink) state(is string, all []string, labels ...string) {
	if is != "" && !slices.Contains(all, is) {
		all = append(slices.Clip(all), is)
	}
	for _, s := range all {
		o.value(truth(s == is), append(slices.Clip(labels), s)...)
	}
}

// number is what counts.
type number interface {
	~int | ~int64 | ~uint64 | ~float64
}

// single reads the one value of a family without labels.
func single[N number](value func(*bridge.Snapshot) N) reader {
	return func(s *bridge.Snapshot, out sink) { out.value(float64(value(s))) }
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
