package admission

import (
	"errors"
	"fmt"
	"time"
)

// ErrClosed refuses requests after Close.
var ErrClosed = errors.New("admission: closed")

// Reason is why a request was refused.
type Reason uint8

// The reasons.
const (
	Full      Reason = iota // as many wait as may
	TimedOut                // it waited as long as it may
	Predicted               // it would wait longer than it may
	Stalled                 // the application answers nobody
	Down                    // the application does not run, nor will for a while
	reasons
)

var reasonNames = [reasons]string{"full", "timeout", "predicted", "stalled", "down"}

func (r Reason) String() string { return reasonNames[r] }

// MarshalText writes r as String does.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Refusal is the error of a request that gets no slot. It was never started.
type Refusal struct {
	Reason Reason
	Lane   Lane
	// RetryAfter is when the client may come again. It is spread at random, and
	// doubles for a flow that comes back sooner than it was told.
	RetryAfter time.Duration
}

var reasonTexts = [reasons]string{
	Full:      "as many requests wait as may",
	TimedOut:  "no worker became free in time",
	Predicted: "no worker would become free in time",
	Stalled:   "the application answers nobody just now",
	Down:      "the application does not run just now",
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("admission: %s (%s lane)", reasonTexts[r.Reason], r.Lane)
}

const (
	minRetry = time.Second
	maxRetry = 30 * time.Second
	// scatter is the least time that clients refused together are spread over.
	retrySpread = 4 * time.Second
	// together is how far apart the requests of one page may be: those that are refused
	// with it have not come back too soon.
	samePage = 500 * time.Millisecond
	// maxShared is how often the time doubles for a flow that may be many people.
	maxSharedDoublings = 2
)

// retry is what a flow was told when requests of one class were refused.
type retry struct {
	told, until time.Duration
	doubled     int
}

// refuse counts a refusal and says when to come again.
func (g *Gate) refuse(e *entry, why Reason, now time.Duration) *Refusal {
	g.counts[e.lane].refused[why]++
	base := minRetry
	if e.queue == fast {
		base = max(base, g.predictedWait(e))
		if !e.ownFault {
			g.load.arrived(e.lane)
		}
	}
	if f := e.client; f != g.anonymous {
		base <<= f.retries[e.queue].doublings(now, f.shared)
		base = min(base, maxRetry/2)
		f.retries[e.queue].until = now + base
	}
	base = min(base, maxRetry/2)
	return &Refusal{Reason: why, Lane: e.lane, RetryAfter: base + time.Duration(g.random.Int64N(int64(max(base, retrySpread))))}
}

// doublings returns how often the time to come again is to be doubled.
func (r *retry) doublings(now time.Duration, shared bool) int {
	switch {
	case now >= r.until:
		r.doubled = 0
	case now-r.told < samePage:
		return r.doubled
	case r.doubled < 5 && (!shared || r.doubled < maxSharedDoublings):
		r.doubled++
	}
	r.told = now
	return r.doubled
}
