package metrics

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/admission"
)

// TestWaitBoundsAreTheGates makes one request wait for exactly as long as each bound, and one for
// longer than the last. The gate must count each in the bucket of its bound.
func TestWaitBoundsAreTheGates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := admission.Defaults(1)
		cfg.Lanes, cfg.Timeout = false, time.Hour
		gate, err := admission.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer gate.Close()
		last := waitBounds[len(waitBounds)-1]
		for _, bound := range append([]float64{last + 1}, waitBounds...) {
			holder, err := gate.Acquire(t.Context(), &admission.Request{})
			if err != nil {
				t.Fatal(err)
			}
			waited := make(chan admission.Ticket)
			if bound > 0 {
				go func() {
					ticket, err := gate.Acquire(t.Context(), &admission.Request{})
					if err != nil {
						t.Error(err)
					}
					waited <- ticket
				}()
				synctest.Wait()
				time.Sleep(time.Duration(bound * float64(time.Second)))
				holder.Done()
				holder = <-waited
			}
			holder.Done()
		}
		var lane admission.LaneSnapshot
		for _, l := range gate.Snapshot().Lanes {
			if l.Started > 0 {
				lane = l
			}
		}
		got := map[float64]uint64{}
		for _, b := range lane.Waits {
			got[b.Seconds] = b.Count
		}
		for _, bound := range append([]float64{-1}, waitBounds[1:]...) {
			if got[bound] != 1 {
				t.Errorf("le=%v: %d, want 1", bound, got[bound])
			}
		}
		if len(got) != len(waitBounds)+1 {
			t.Errorf("the gate's buckets are %v", got)
		}
	})
}

func TestUnlistedBound(t *testing.T) {
	s := bridge.Snapshot{Gate: admission.Snapshot{Lanes: map[string]admission.LaneSnapshot{"long": {
		Waits: []admission.WaitBucket{{Seconds: .25, Count: 3}, {Seconds: 40, Count: 4}, {Seconds: -1, Count: 5}},
	}}}}
	text := scrape(t, New(of(s), Options{}))
	for le, count := range map[string]int{"0.1": 0, "0.25": 3, "20": 3, "40": 7, "+Inf": 12} {
		line := fmt.Sprintf("sluice_gate_wait_seconds_bucket{lane=%q,le=%q} %d", "long", le, count)
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
}

// TestEmptyHistogram: a histogram has all its buckets before any request has waited.
func TestEmptyHistogram(t *testing.T) {
	s := bridge.Snapshot{Gate: admission.Snapshot{Lanes: map[string]admission.LaneSnapshot{"short": {}}}}
	text := scrape(t, New(of(s), Options{}))
	if n := strings.Count(text, "\nsluice_gate_wait_seconds_bucket{"); n != len(waitBounds)+1 {
		t.Errorf("%d buckets, want %d", n, len(waitBounds)+1)
	}
}
