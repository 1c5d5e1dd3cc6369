package admission

import (
	"errors"
	"fmt"
	"time"
)

// ErrClosed is the error of requests after Close.
var ErrClosed = errors.New("admission: closed")

// Reason is the reason of a refusal.
type Reason uint8

// The reasons.
const (
	Full      Reason = iota // as many requests wait as may
	TimedOut                // it has waited as long as it may
	Predicted               // it would have to wait longer than it may
	Stalled                 // the application answers no request
	Down                    // the application does not run, and will not for some time
	Upgrades                // as many connections are upgraded as may be
	reasons
)

var reasonNames = [reasons]string{"full", "timeout", "predicted", "stalled", "down", "upgrades"}

func (r Reason) String() string { return reasonNames[r] }

// MarshalText returns r.String().
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Refusal is the error of a request that was refused. It was never started.
type Refusal struct {
	Reason Reason
	Lane   Lane
	// RetryAfter is when the client should try again. It is spread at random, and doubles for a
	// client that comes back sooner than it was told.
	RetryAfter time.Duration
}

var reasonTexts = [reasons]string{
	Full:      "as many requests wait as may",
	TimedOut:  "no worker became free in time",
	Predicted: "no worker would become free in time",
	Stalled:   "the application answers nobody just now",
	Down:      "the application does not run just now",
	Upgrades:  "as many connections are upgraded as may be",
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("admission: %s (%s lane)", reasonTexts[r.Reason], r.Lane)
}

const (
	minRetry = time.Second
	maxRetry = 30 * time.Second
	// retrySpread is the least time over which clients that are refused together are spread.
	retrySpread = 4 * time.Second
	// samePage is how far apart the requests of one page may be. Requests that are refused within
	// that time have not come back too soon.
	samePage = 500 * time.Millisecond
	// maxSharedDoublings is how often RetryAfter doubles at most for a client key that may stand
	// for many people.
	maxSharedDoublings = 2
)

// retry is what a client was told when its requests of one class were refused.
type retry struct {
	told, until time.Duration
	doubled     int
}

// refuse counts a refusal and returns it.
func (g *Gate) refuse(e *entry, why Reason, now time.Duration) *Refusal {
	g.counts[e.lane].refused[why]++
	base := minRetry
	if e.queue == fast {
		base = max(base, g.predictedWait(e))
		if !e.ownFault {
			g.load.arrived(e.lane)
		}
	}
	if c := e.client; c != g.anonymous {
		if c.retries == nil {
			c.retries = new([classes]retry)
		}
		r := &c.retries[e.queue]
		base <<= r.doublings(now, c.shared)
		base = min(base, maxRetry/2)
		r.until = now + base
	}
	base = min(base, maxRetry/2)
	return &Refusal{Reason: why, Lane: e.lane, RetryAfter: base + time.Duration(g.random.Int64N(int64(max(base, retrySpread))))}
}

// doublings returns how often RetryAfter is to be doubled.
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
