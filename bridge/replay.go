package bridge

import (
	"errors"
	"net/http"

	"github.com/sluice-proxy/sluice/bridge/pool"
)

// verdict says what to do after an attempt.
type verdict uint8

const (
	giveUp          verdict = iota // with the error there is, or without one
	onceMore                       // at once, on a fresh connection
	whenThereIsRoom                // after a pause: the application is full
)

// again decides whether the request is sent once more. It is not if the answer had
// begun. What the application provably did not run may be sent as often as there is
// time; what it may have run only once more.
func (x *exchange) again(err error) verdict {
	if err == nil || x.parsed || !x.body.replayable() {
		return giveUp
	}
	var e *pool.Error
	if !errors.As(err, &e) {
		return giveUp
	}
	switch {
	case e.Replay == pool.ReplaySafe:
		if !e.Full {
			return x.onceMoreUnrun()
		}
	case x.replayed, e.Replay == pool.ReplayNever, !idempotent(x.r.Method):
		return giveUp
	default:
		x.replayed = true
		if !e.Full {
			return onceMore
		}
	}
	return whenThereIsRoom
}

// unrunMax is how often a request is sent again that met a connection on which it
// provably was not run. Each was there a moment before.
const unrunMax = 5

func (x *exchange) onceMoreUnrun() verdict {
	if x.unrun == unrunMax {
		return giveUp
	}
	x.unrun++
	return onceMore
}

// idempotent follows RFC 9110, section 9.2.2.
func idempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// countReplay counts that a request is sent again after err.
func (b *backend) countReplay(err error) {
	var e *pool.Error
	if errors.As(err, &e) {
		b.pool.CountReplay(e)
	}
}
