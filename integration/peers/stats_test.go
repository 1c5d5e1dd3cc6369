package main

import (
	"math"
	"testing"
	"time"
)

// ofRates makes samples of one second each with these numbers of requests.
func ofRates(requests ...int64) []sample {
	out := make([]sample, len(requests))
	for i, n := range requests {
		out[i].load = load{Requests: n, Micros: 1e6}
	}
	return out
}

func TestMedian(t *testing.T) {
	for _, tc := range []struct {
		samples []sample
		want    float64
	}{
		{ofRates(7), 7},
		{ofRates(9, 1, 5), 5},
		{ofRates(9, 1, 5, 3), 4},
	} {
		if got := median(tc.samples, sample.perSecond); got != tc.want {
			t.Errorf("median of %v = %v, want %v", sorted(tc.samples, sample.perSecond), got, tc.want)
		}
	}
	if got := median(nil, sample.perSecond); !math.IsNaN(got) {
		t.Errorf("median of nothing = %v, want NaN", got)
	}
}

func TestSpread(t *testing.T) {
	if got := spread(ofRates(90, 100, 115), sample.perSecond); got != 0.25 {
		t.Errorf("spread = %v, want 0.25", got)
	}
}

func TestCPUPerRequest(t *testing.T) {
	s := sample{load: load{Requests: 1000}, proxyCPU: 25 * time.Millisecond, backendCPU: time.Second}
	if got := s.cpuMicros(); got != 25 {
		t.Errorf("cpuMicros = %v, want 25", got)
	}
	if got := s.backendMicros(); got != 1000 {
		t.Errorf("backendMicros = %v, want 1000", got)
	}
}
