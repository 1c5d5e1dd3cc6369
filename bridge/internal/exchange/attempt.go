package exchange

import (
	"errors"
	"net/http"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/lines"
	"github.com/sluice-proxy/sluice/bridge/pool"
)

// A request that a full application has turned away unread is sent again after fullPause,
// four times that, and so on up to fullPauseMax: nothing announces that an application has
// room.
const (
	fullPause    = 10 * time.Millisecond
	fullPauseMax = 500 * time.Millisecond
)

// Sent reports that the request is on its way to the application: all of it, or its head
// while the driver sends the body. The error is that of the first write.
func (x *Exchange) Sent(err error) Wait {
	if err := notSent(err); err != nil {
		return x.attemptOver(err)
	}
	if x.driver.Body().Separate {
		x.watch()
	}
	x.stderr = nil
	x.borrowAnswer()
	x.answer, x.begin, x.searched = x.answer[:0], 0, 0
	x.over, x.interimAt = false, time.Time{}
	return x.awaitFirst()
}

// newStderr is where the application's standard error goes that comes from an instance.
func (x *Exchange) newStderr(instance string) *lines.Source {
	s := x.app.Stderr(x.client.Path(), instance)
	s.Tee(x.client.ErrorLog())
	return &s
}

// complain takes what the application writes to its standard error.
func (x *Exchange) complain(p []byte) {
	if x.stderr == nil {
		x.stderr = x.newStderr(x.held.lease.Addr())
	}
	_, _ = x.stderr.Write(p)
}

// watch has the client's leaving interrupt the attempt.
func (x *Exchange) watch() {
	x.watched = true
	x.driver.Watch()
}

// quiesce ends what runs beside the attempt, so that the lease is the exchange's alone.
func (x *Exchange) quiesce() {
	x.watched = false
	x.driver.Quiesce()
}

// attemptOver ends an attempt that has failed, and decides whether the request is sent again.
func (x *Exchange) attemptOver(err error) Wait {
	if errors.Is(err, pool.ErrInterrupted) {
		err = x.driver.Interruption()
	}
	x.stderr.End()
	if x.held.lease != nil { // else it was given back, or passed on
		x.quiesce()
		if x.held.mustAwait(err) {
			x.driver.Abandon(x.held.take())
		} else {
			x.held.releaseLease()
		}
	}
	x.deadline = x.deadline.Add(time.Since(x.sentAt)) // an attempt is no wait
	switch x.again(err) {
	case whenThereIsRoom:
		at := time.Now().Add(x.pause)
		if at.After(x.deadline) {
			return x.fail(&fullError{err})
		}
		x.pause, x.last = min(4*x.pause, fullPauseMax), err
		return Wait{For: Pause, Until: at}
	case onceMore:
		return x.sendAgain(err)
	}
	return x.fail(x.notServed(err))
}

// Paused reports the end of a pause, or why it was cut short.
func (x *Exchange) Paused(err error) Wait {
	if err != nil {
		return x.fail(err)
	}
	return x.sendAgain(x.last)
}

// sendAgain sends the request again after err.
func (x *Exchange) sendAgain(err error) Wait {
	if err := x.available(); err != nil {
		return x.fail(err)
	}
	if e, ok := errors.AsType[*pool.Error](err); ok {
		x.app.CountReplay(e)
		if e.Full {
			x.Demand.Avoid = e.Addr
		}
	}
	x.Demand.Fresh = x.Demand.Fresh || x.replayed || x.unrun > 0
	x.Demand.NoReplay = x.Demand.NoReplay || x.replayed // the next is its last chance
	return Wait{For: Connection, Until: x.deadline}
}

// retry says what to do after an attempt.
type retry uint8

const (
	giveUp          retry = iota
	onceMore              // at once, on a fresh connection
	whenThereIsRoom       // after a pause: the application is full
)

// again decides whether the request is sent once more. It is not if the answer had begun.
// What the application provably did not run may be sent as often as there is time; what it
// may have run only once more.
func (x *Exchange) again(err error) retry {
	if x.adopted || !x.replayable() {
		return giveUp
	}
	e, ok := errors.AsType[*pool.Error](err)
	switch {
	case !ok:
		return giveUp
	case e.Replay == pool.ReplaySafe:
		if !e.Full {
			return x.onceMoreUnrun()
		}
	case x.replayed, e.Replay == pool.ReplayNever, !x.repeatable():
		return giveUp
	default:
		x.replayed = true
		if !e.Full {
			return onceMore
		}
	}
	return whenThereIsRoom
}

// replayable reports whether the body can be sent again from its beginning.
func (x *Exchange) replayable() bool { return !x.driver.Body().Touched }

// unrunMax is how often a request is sent again that met a connection on which it provably
// was not run. Each was there a moment before.
const unrunMax = 5

func (x *Exchange) onceMoreUnrun() retry {
	if x.unrun == unrunMax {
		return giveUp
	}
	x.unrun++
	return onceMore
}

// repeatable reports whether the application may be asked again by what it is asked. The question to
// an authorizer has no effect of its own, whatever the request's method.
func (x *Exchange) repeatable() bool { return x.asking || idempotent(x.client.Method()) }

// idempotent follows RFC 9110, section 9.2.2.
func idempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}
