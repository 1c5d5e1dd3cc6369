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

// again decides whether the request is sent once more. Nothing of an answer has
// reached the client, or err would not be a *pool.Error that allows it.
func (x *exchange) again(err error) verdict {
	if err == nil {
		return giveUp
	}
	var e *pool.Error
	if !errors.As(err, &e) || !x.body.replayable() {
		return giveUp
	}
	safe := e.Replay == pool.ReplaySafe || (e.Replay != pool.ReplayNever || e.Refused()) && idempotent(x.r.Method)
	switch {
	case !safe:
		return giveUp
	case e.Refused(), errors.Is(e.Err, pool.ErrOverloaded):
		return whenThereIsRoom
	case x.replayed:
		return giveUp
	}
	x.replayed = true
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
