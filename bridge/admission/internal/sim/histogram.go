package sim

import "time"

// histogram counts durations in steps of a tenth of a millisecond, up to a
// minute.
type histogram struct {
	count [600_000]uint32
	n     int
}

const step = 100 * time.Microsecond

func (h *histogram) add(d time.Duration) {
	h.count[min(int(d/step), len(h.count)-1)]++
	h.n++
}

// quantile returns the upper edge of the step that holds it; 0 of none.
func (h *histogram) quantile(q float64) time.Duration {
	rest := int(q * float64(h.n))
	for i, c := range h.count {
		if rest -= int(c); rest < 0 {
			if i == 0 {
				return 0
			}
			return time.Duration(i+1) * step
		}
	}
	return 0
}
