package sim

import "time"

// histogram counts durations up to a minute, with fine steps below a second.
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

// quantile returns the upper edge of the step that contains the quantile. It is 0 if nothing was
// counted or the duration is close to 0.
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
