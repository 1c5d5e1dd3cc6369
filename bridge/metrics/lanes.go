package metrics

import (
	"slices"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/admission"
)

func laneFamilies() []family {
	lane := []string{"lane"}
	return []family{
		{
			"gate_requests_in_flight", gauge, "Requests that the application works on, by the lane they were started in.", lane,
			lanes(func(l *admission.LaneSnapshot) int { return l.InFlight }),
		},
		{
			"gate_requests_aged", gauge, "Requests in flight that have become long.", lane,
			lanes(func(l *admission.LaneSnapshot) int { return l.Aged }),
		},
		{
			"gate_requests_waiting", gauge, "Requests that wait for a worker.", lane,
			lanes(func(l *admission.LaneSnapshot) int { return l.Waiting }),
		},
		{
			"gate_requests_started_total", counter, "Requests that got a worker.", lane,
			lanes(func(l *admission.LaneSnapshot) uint64 { return l.Started }),
		},
		{
			"gate_requests_refused_total", counter, "Requests that were refused, by reason.", []string{"lane", "reason"}, refusals,
		},
		{
			"gate_requests_left_total", counter, "Requests whose client left while they waited.", lane,
			lanes(func(l *admission.LaneSnapshot) uint64 { return l.Left }),
		},
		{
			"gate_wait_seconds", 0, "How long requests waited that got a worker.", lane, waits,
		},
	}
}

// lanes reads one value of each lane.
func lanes[N number](value func(*admission.LaneSnapshot) N) reader {
	return func(s *bridge.Snapshot, out sink) {
		for name, l := range s.Gate.Lanes {
			out.value(float64(value(&l)), name)
		}
	}
}

func refusals(s *bridge.Snapshot, out sink) {
	for name, l := range s.Gate.Lanes {
		for reason, n := range l.Refused {
			out.value(float64(n), name, reason)
		}
	}
}

// waitBounds are the gate's. A snapshot has only the buckets that are not empty, but a histogram
// must have the same buckets in every scrape.
var waitBounds = []float64{0, .001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20}

func waits(s *bridge.Snapshot, out sink) {
	for name, l := range s.Gate.Lanes {
		bounds := slices.Clone(waitBounds)
		count := uint64(0)
		for _, b := range l.Waits {
			count += b.Count
			if b.Seconds >= 0 && !slices.Contains(bounds, b.Seconds) { // below 0: the bucket without a bound
				bounds = append(bounds, b.Seconds)
			}
		}
		atMost := make(map[float64]uint64, len(bounds))
		for _, bound := range bounds {
			atMost[bound] = 0
			for _, b := range l.Waits {
				if b.Seconds >= 0 && b.Seconds <= bound {
					atMost[bound] += b.Count
				}
			}
		}
		out.histogram(count, l.Waited, atMost, name)
	}
}
