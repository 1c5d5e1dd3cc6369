package page

import (
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

// history is how many points are kept: a quarter of an hour.
const history = 15 * 60

// ring has the history of one application.
type ring struct {
	points []Point
	oldest int // index in points, once there are as many as there may be
	last   admission.Sample
	any    bool // there is a last sample
}

// add adds the point between the last sample and s, unless they are of different applications: another one may
// have come in place of the first, with the same name.
func (r *ring) add(now time.Time, s admission.Sample) {
	before := r.last
	r.last = s
	if !r.any || !follows(&before, &s) {
		r.any = true
		return
	}
	p := newPoint(now, &before, &s)
	if n := len(r.points); n > 0 && p.Time == r.points[(r.oldest+n-1)%n].Time {
		p.Time++ // the ticks are about a second apart, and a viewer takes one point for each second
	}
	if len(r.points) < history {
		r.points = append(r.points, p)
		return
	}
	r.points[r.oldest] = p
	r.oldest = (r.oldest + 1) % history
}

// follows reports whether no counter of s is less than it was before.
func follows(before, s *admission.Sample) bool {
	for i := range s.Refused {
		if s.Refused[i] < before.Refused[i] {
			return false
		}
	}
	for lane := range s.Ended {
		if s.Started[lane] < before.Started[lane] {
			return false
		}
		for i := range s.Ended[lane] {
			if s.Ended[lane][i] < before.Ended[lane][i] {
				return false
			}
		}
	}
	return true
}

// all returns a copy, the oldest point first.
func (r *ring) all() []Point {
	return append(append(make([]Point, 0, len(r.points)), r.points[r.oldest:]...), r.points[:r.oldest]...)
}

// latest returns the last n points at most, the latest last.
func (r *ring) latest(n int) []Point {
	all := make([]Point, 0, n)
	for i := max(0, len(r.points)-n); i < len(r.points); i++ {
		all = append(all, r.points[(r.oldest+i)%len(r.points)])
	}
	return all
}

func newPoint(now time.Time, before, s *admission.Sample) Point {
	p := Point{
		Time: now.Unix(), InUse: s.InUse, Long: s.Long, Slots: s.Capacity, Queue: s.Waiting, Parked: s.Parked,
		Refused: make([]int, len(s.Refused)),
	}
	for i := range s.Refused {
		p.Refused[i] = int(s.Refused[i] - before.Refused[i])
	}
	for lane := range s.Ended {
		ended := s.Ended[lane]
		total := 0
		for i := range ended {
			ended[i] -= before.Ended[lane][i]
			total += int(ended[i])
		}
		p.Ended = append(p.Ended, total)
		p.P50 = append(p.P50, quantile(&ended, total, 0.5))
		p.P95 = append(p.P95, quantile(&ended, total, 0.95))
		p.P99 = append(p.P99, quantile(&ended, total, 0.99))
	}
	return p
}

// quantile returns the time in milliseconds that a part of the requests did not exceed, nil if there
// were none. Within a bucket they are taken for evenly spread.
func quantile(times *admission.Times, total int, part float64) *float64 {
	if total == 0 {
		return nil
	}
	rank := part * float64(total)
	below := 0.0
	for i, n := range times {
		if n == 0 {
			continue
		}
		if below+float64(n) < rank {
			below += float64(n)
			continue
		}
		lower := time.Duration(0)
		if i > 0 {
			lower = admission.TimeBound(i - 1)
		}
		width := admission.TimeBound(i) - lower
		ms := (float64(lower) + float64(width)*(rank-below)/float64(n)) / float64(time.Millisecond)
		return new(float64(int(ms*10+0.5)) / 10)
	}
	return nil
}
