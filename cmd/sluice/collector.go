package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// heapSlack is how much the heap may grow between two collections of garbage, in bytes. Go's own rule
// (GOGC=100) lets it double. That is 4 MiB at most where few requests are in flight, and many
// collections a second under load; where tens of thousands wait, it is as much memory again as they need.
const heapSlack = 24 << 20

const (
	gcPercentLeast = 25
	gcPercentMost  = 400
)

// gcPercent is the GOGC that lets a heap of so many live bytes grow by heapSlack.
func gcPercent(live uint64) int {
	return int(min(max(100*heapSlack/max(live, 1), gcPercentLeast), gcPercentMost))
}

// setCollector has garbage collected as heapSlack says, unless the environment says how (GOGC,
// GOMEMLIMIT). It looks after each collection how large the heap is.
func setCollector() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	c := &collector{sample: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}}
	c.adjust()
	c.afterNext()
}

type collector struct {
	sample  []metrics.Sample
	percent int
}

// afterNext has adjust called after each collection: the finalizer of an object that nobody has.
func (c *collector) afterNext() {
	runtime.SetFinalizer(&struct{ *collector }{c}, func(last *struct{ *collector }) {
		last.adjust()
		last.afterNext()
	})
}

// adjust sets the percentage if the right one is another by a tenth or more: setting it stops everything
// for a moment.
func (c *collector) adjust() {
	metrics.Read(c.sample)
	want := gcPercent(c.sample[0].Value.Uint64())
	if d := want - c.percent; d*d*100 < c.percent*c.percent {
		return
	}
	c.percent = want
	debug.SetGCPercent(want)
}
