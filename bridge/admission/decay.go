package admission

import (
	"math"
	"time"
)

// timeConstant is the time constant of what routes and flows have used lately.
const timeConstant = time.Minute

// ewma follows a number through time: an exponentially weighted mean of it over
// the recent past.
type ewma struct {
	mean float64
	at   time.Duration
}

// update notes that the number was n since the last call.
func (l *ewma) update(n int, now time.Duration) {
	if l.mean == 0 && n == 0 {
		l.at = now
		return
	}
	l.mean = l.value(n, now)
	l.at = now
	if l.mean < 1e-3 && n == 0 {
		l.mean = 0
	}
}

func (l *ewma) value(n int, now time.Duration) float64 {
	if l.mean == 0 && n == 0 {
		return 0
	}
	return float64(n) + (l.mean-float64(n))*math.Exp(-float64(now-l.at)/float64(timeConstant))
}

// decayingSum is a sum that forgets: of worker-seconds.
type decayingSum struct {
	sum float64
	at  time.Duration
}

func (w *decayingSum) add(seconds float64, now time.Duration) {
	if now-w.at >= timeConstant/64 { // more often would change little, and costs an exponential
		w.sum = w.value(now)
		w.at = now
	}
	w.sum += seconds
}

func (w *decayingSum) value(now time.Duration) float64 {
	if w.sum == 0 {
		return 0
	}
	return w.sum * math.Exp(-float64(now-w.at)/float64(timeConstant))
}
