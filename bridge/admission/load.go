package admission

import (
	"math"
	"time"
)

// load measures how many slots short requests need: those in flight that do not count as long. Once
// a second it adds what it has measured to estimates that rise fast and fall slowly, because
// keeping a worker free for too long costs less than giving it away too soon.
type load struct {
	// The current second.
	since, at time.Duration
	unknown   int // unknown ones among the arrivals
	arrivals  int
	area      float64 // worker-seconds
	n         float64 // requests that ended; the sums of their times and of the squares
	sum, sq   float64

	unknownRate          float64
	rate, occupancy      float64 // arrivals per second; workers in use
	total, totSum, totSq float64 // n, sum and sq of about the last ten seconds
}

const (
	riseWeight = 0.5 // weight of the last second if it is above the estimate
	fallWeight = 0.1 // weight of the last second if it is below the estimate
	keepWeight = 0.9 // what a second leaves of the weight of total, totSum and totSq
)

// advance notes that n requests have been in flight since the last call.
func (l *load) advance(n int, now time.Duration) {
	if n > 0 {
		l.area += float64(n) * (now - l.at).Seconds()
	}
	l.at = now
}

// arrived notes the arrival of a short request.
func (l *load) arrived(lane Lane) {
	l.arrivals++
	if lane == Unknown {
		l.unknown++
	}
}

// completed notes how long a short request took, or how long it took to become long.
func (l *load) completed(d time.Duration) {
	s := d.Seconds()
	l.n++
	l.sum += s
	l.sq += s * s
}

// fold adds the current second to the estimates if it is over, and reports whether it was.
func (l *load) fold(now time.Duration) bool {
	dt := (now - l.since).Seconds()
	if dt < 1 {
		return false
	}
	blend := func(old, measured float64) float64 {
		weight := fallWeight
		if measured > old {
			weight = riseWeight
		}
		return measured + (old-measured)*math.Pow(1-weight, dt)
	}
	if l.fresh() {
		l.rate, l.unknownRate, l.occupancy = float64(l.arrivals)/dt, float64(l.unknown)/dt, l.area/dt // this was the first second
	}
	l.rate = blend(l.rate, float64(l.arrivals)/dt)
	l.unknownRate = blend(l.unknownRate, float64(l.unknown)/dt)
	l.occupancy = blend(l.occupancy, l.area/dt)
	keep := math.Pow(keepWeight, dt)
	l.total, l.totSum, l.totSq = l.total*keep+l.n, l.totSum*keep+l.sum, l.totSq*keep+l.sq
	l.restart(now)
	return true
}

func (l *load) fresh() bool { return l.rate == 0 && l.occupancy == 0 }

// restart drops what was measured in the current second, and begins another.
func (l *load) restart(now time.Duration) {
	l.since, l.at, l.arrivals, l.unknown, l.area, l.n, l.sum, l.sq = now, now, 0, 0, 0, 0, 0, 0
}

// mean returns the mean time of a short request in seconds, 0 if none has ended.
func (l *load) mean() float64 {
	if n := l.total + l.n; n > 0 {
		return (l.totSum + l.sum) / n
	}
	return 0
}

// variability returns the factor by which the variance of the times lengthens a wait, (1+CV^2)/2,
// after Allen and Cunneen.
func (l *load) variability() float64 {
	n, mean := l.total+l.n, l.mean()
	if n < 2 || mean == 0 {
		return 1
	}
	cv2 := (l.totSq+l.sq)/n/(mean*mean) - 1
	return (1 + max(cv2, 0)) / 2
}

// need returns how many of w workers short requests need so that at most 1 % of them wait longer
// than target, by Erlang's C formula.
func (l *load) need(w int, target time.Duration) int {
	return l.servers(max(l.rate*l.mean(), l.occupancy), w, target)
}

// servers is need for an average of a short requests in flight.
func (l *load) servers(a float64, w int, target time.Duration) int {
	mean := l.mean()
	if a == 0 || mean == 0 {
		return 0
	}
	scale := mean * l.variability()
	t := max(target.Seconds(), 2*mean)
	blocked := 1.0 // Erlang's B for 0 servers
	for n := 1; n <= w; n++ {
		blocked = a * blocked / (float64(n) + a*blocked)
		if float64(n) <= a {
			continue
		}
		rho := a / float64(n)
		wait := blocked / (1 - rho*(1-blocked))
		if wait*math.Exp(-(float64(n)-a)*t/scale) <= 0.01 {
			return n
		}
	}
	return w
}
