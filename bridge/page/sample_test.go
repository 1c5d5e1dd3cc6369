package page

import (
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

// Each point has a second of its own, even if the ticks are near the ends of seconds, and not even.
func TestPointsAreSecondsApart(t *testing.T) {
	var r ring
	at := time.Unix(1e9, 0)
	for i := range 2 * history {
		jitter := 3 * time.Millisecond
		if i%2 == 1 {
			jitter = -jitter
		}
		r.add(at.Add(time.Duration(i)*time.Second+jitter), admission.Sample{})
	}
	all := r.all()
	for i, p := range all {
		if i > 0 && p.Time <= all[i-1].Time {
			t.Fatalf("point %d is of the second %d, and the one before it of %d", i, p.Time, all[i-1].Time)
		}
	}
	if last, want := all[len(all)-1].Time, at.Unix()+2*history-1; last < want-1 || last > want {
		t.Errorf("the last point is of the second %d, want %d", last, want)
	}
}
