package admission

import (
	"math"
	"time"
)

// Sample is what is plotted of a gate: a few numbers, cheap enough to be taken all the time. Counters
// only grow.
type Sample struct {
	Capacity  int // the slots
	InUse     int
	Long      int // of those, how many have requests that count as long
	Abandoned int // of those, how many have requests that are abandoned
	Waiting   int // short and unknown requests that wait
	Parked    int // mixed and long ones
	ShortNeed int // slots that the measured load of short requests needs; more than Capacity, if there are too few

	Started [lanes]uint64   // by Lane
	Ended   [lanes]Times    // requests that the application has finished, by Lane
	Refused [reasons]uint64 // by Reason
}

// Times counts requests by the time that they took in the gate, from their arrival to their end.
// Each bucket reaches a quarter further than the one before; see TimeBound.
type Times [timeBuckets]uint64

const (
	timeBuckets   = 54
	bucketsPerOct = 3
	firstBound    = time.Millisecond
)

// TimeBound returns the longest time in a bucket of Times. In the last one are all longer times,
// too.
func TimeBound(bucket int) time.Duration {
	return time.Duration(float64(firstBound) * math.Exp2(float64(bucket)/bucketsPerOct))
}

func timeBucket(took time.Duration) int {
	if took <= firstBound {
		return 0
	}
	i := math.Ceil(bucketsPerOct * math.Log2(float64(took)/float64(firstBound)))
	return min(int(i), timeBuckets-1)
}

// Reasons returns the names of the reasons, in the order of Sample.Refused.
func Reasons() []string { return reasonNames[:] }

// Lanes returns the names of the lanes, in the order of Sample.Started.
func Lanes() []string { return laneNames[:] }

// Sample returns numbers to plot.
func (g *Gate) Sample() Sample {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := Sample{Capacity: g.slots, InUse: g.inUse, Long: g.longInUse, Abandoned: g.abandoned, ShortNeed: g.load.need(g.cfg.Workers, g.cfg.WaitTarget)}
	for l := range g.counts {
		c := &g.counts[l]
		s.Started[l], s.Ended[l] = c.start, c.times
		for r, n := range c.refused {
			s.Refused[r] += n
		}
		if Lane(l).class() == fast {
			s.Waiting += c.waiting
		} else {
			s.Parked += c.waiting
		}
	}
	return s
}
