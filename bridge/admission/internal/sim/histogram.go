package sim

import "time"

// histogram counts durations up to a minute: those below a second in fine steps.
type histogram struct {
	fine   [int(time.Second / fineStep)]uint32
	coarse [int(time.Minute / coarseStep)]uint32
	n      int
}

const (
	fineStep   = 100 * time.Microsecond
	coarseStep = 10 * time.Millisecond
)

func (h *histogram) add(d time.Duration) {
	h.n++
	if d < time.Second {
		h.fine[d/fineStep]++
		return
	}
	h.coarse[min(int(d/coarseStep), len(h.coarse)-1)]++
}

// quantile returns the upper edge of the step that holds it; 0 of none, and of those
// that took next to nothing.
func (h *histogram) quantile(q float64) time.Duration {
	rest := int(q * float64(h.n))
	for i, c := range h.fine {
		if rest -= int(c); rest < 0 {
			if i == 0 {
				return 0
			}
			return time.Duration(i+1) * fineStep
		}
	}
	for i, c := range h.coarse {
		if rest -= int(c); rest < 0 {
			return time.Duration(i+1) * coarseStep
		}
	}
	return 0
}
