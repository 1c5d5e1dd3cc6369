package main

import (
	"math"
	"slices"
	"time"
)

// sample is one round of one scenario on one peer.
type sample struct {
	load
	proxyCPU   time.Duration
	backendCPU time.Duration
}

// cpuMicros is the proxy's CPU time per request, in microseconds.
func (s sample) cpuMicros() float64 { return micros(s.proxyCPU) / float64(s.Requests) }

// backendMicros is the application's CPU time per request, in microseconds.
func (s sample) backendMicros() float64 { return micros(s.backendCPU) / float64(s.Requests) }

func (s sample) p50Millis() float64 { return float64(s.P50) / 1000 }

func (s sample) p99Millis() float64 { return float64(s.P99) / 1000 }

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// sorted returns the figure of every sample in ascending order.
func sorted(samples []sample, figure func(sample) float64) []float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = figure(s)
	}
	slices.Sort(values)
	return values
}

// median is NaN without samples.
func median(samples []sample, figure func(sample) float64) float64 {
	values := sorted(samples, figure)
	n := len(values)
	if n == 0 {
		return math.NaN()
	}
	return (values[(n-1)/2] + values[n/2]) / 2
}

// spread is the distance between the extremes as a share of the median.
func spread(samples []sample, figure func(sample) float64) float64 {
	values := sorted(samples, figure)
	if len(values) == 0 {
		return math.NaN()
	}
	return (values[len(values)-1] - values[0]) / median(samples, figure)
}
