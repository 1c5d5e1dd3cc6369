package admission

import (
	"math"
	"time"
)

// timeConstant is the time constant of the work that routes and clients have done lately.
const timeConstant = time.Minute

// ewma is an exponentially weighted moving average of a number that changes at any time.
type ewma struct {
	mean float64
	at   time.Duration
}

// update notes that the number has been n since the last call.
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

// decayingSum is a sum of worker-seconds whose terms lose weight exponentially with time.
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
