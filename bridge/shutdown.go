package bridge

import (
	"context"
	"errors"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/pool"
)

// ErrShutdown is the cause with which a server cancels the contexts of requests that have
// not finished when it must end. Their clients have not left: those that were not sent
// anything get 503, the others' connections are cut. http.Server.BaseContext is the place for
// such a context.
var ErrShutdown = errors.New("the server is shutting down")

// refusedDrain is Outcome.Refused of requests that came after Refuse, and of those whose
// contexts were canceled with ErrShutdown before they were answered.
const refusedDrain = "drain"

// Refuse has requests that come from now on refused with 503. Those that are there go on,
// and answers that begin from now on end their client's connection. Close is the next step,
// when the server in front has no requests any more.
func (b *Bridge) Refuse() { b.refuses.Store(true) }

// open refuses what comes after Close or Refuse.
func (b *Bridge) open() error {
	switch {
	case b.closed.Load():
		return admission.ErrClosed
	case b.refuses.Load():
		return ErrShutdown
	}
	return nil
}

// isShutDown reports whether err ended a request because the server is shutting down, and
// not because its client has left.
func (x *exchange) isShutDown(err error) bool {
	if errors.Is(err, ErrShutdown) {
		return true
	}
	var client *clientError
	return errors.Is(context.Cause(x.r.Context()), ErrShutdown) &&
		(errors.Is(err, pool.ErrInterrupted) || errors.Is(err, context.Canceled) || errors.As(err, &client))
}
