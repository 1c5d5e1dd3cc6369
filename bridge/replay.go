package bridge

import (
	"errors"
	"net/http"
	"time"

	"github.com/sluice-proxy/sluice/bridge/pool"
)

// verdict says what to do after an attempt.
type verdict uint8

const (
	giveUp          verdict = iota // with the error there is, or without one
	onceMore                       // at once, on a fresh connection
	whenThereIsRoom                // after a pause: the application is full
	noRoom                         // it was full for too long
)

// A reset is taken for "full" only if it comes within refusalWithin of the request,
// as a server does that accepts and closes, and refusalsMax times: a script that
// kills its worker at once looks the same, and runs each time.
const (
	refusalWithin = 50 * time.Millisecond
	refusalsMax   = 5
)

// again decides whether the request is sent once more. It is not if the answer had
// begun.
func (x *exchange) again(err error) verdict {
	if err == nil || x.parsed {
		return giveUp
	}
	var e *pool.Error
	if !errors.As(err, &e) || !x.body.replayable() {
		return giveUp
	}
	switch {
	case e.Replay == pool.ReplaySafe && (e.Refused() || errors.Is(e.Err, pool.ErrOverloaded)):
		return whenThereIsRoom
	case e.Refused() && x.b.cfg.turnsAway() && idempotent(x.r.Method) && time.Since(x.sentAt) <= refusalWithin:
		if x.out.Attempts == refusalsMax {
			return noRoom
		}
		return whenThereIsRoom
	case x.replayed:
		return giveUp
	case e.Replay == pool.ReplaySafe, e.Replay == pool.ReplayIdempotent && idempotent(x.r.Method):
		x.replayed = true
		return onceMore
	}
	return giveUp
}

// idempotent follows RFC 9110, section 9.2.2.
func idempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}
