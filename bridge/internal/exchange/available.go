package exchange

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/pool"
)

// unavailableScatter is the time that clients refused together are spread over.
const unavailableScatter = 10 * time.Second

// downError refuses a request because no process of the application runs, nor will for a
// while.
type downError struct{ after time.Duration }

func (e *downError) Error() string {
	return fmt.Sprintf("the application is not started for the next %v: too many of its processes have ended", e.after.Round(time.Second))
}

// quarantineError refuses a request whose like was in flight when processes died.
type quarantineError struct {
	route string
	after time.Duration
}

func (e *quarantineError) Error() string {
	return fmt.Sprintf("the route %q is refused for another %v: the application died three times running while it was in flight", e.route, e.after.Round(time.Second))
}

// available refuses a request that nobody would answer.
func (x *Exchange) available() error {
	p := x.app.Processes()
	if after, refusing := p.Refusing(); refusing {
		return &downError{after}
	}
	if after, bad := p.Quarantined(x.Ask.Route); bad {
		return &quarantineError{x.Ask.Route, after}
	}
	return nil
}

// notServed says more of why a request was not served, if the application was given up
// while it waited. err may be nil.
func (x *Exchange) notServed(err error) error {
	after, refusing := x.app.Processes().Refusing()
	if !refusing {
		return err
	}
	if errors.Is(err, pool.ErrWaitTimeout) || errors.Is(err, pool.ErrNotAccepted) {
		return &downError{after}
	}
	var refusal *admission.Refusal
	if errors.As(err, &refusal) && refusal.Reason == admission.Down {
		refusal.RetryAfter = scattered(after)
	}
	return err
}

// scattered is a little more than d, so that those refused together do not come back
// together.
func scattered(d time.Duration) time.Duration {
	return max(d, 0) + time.Second + rand.N(unavailableScatter)
}

// ErrShutdown is the cause with which a server cancels the contexts of requests that have not
// finished when it must end, and what refuses those that come after.
var ErrShutdown = errors.New("the server is shutting down")

// isShutDown reports whether err ended a request because the server is shutting down, and
// not because its client has left.
func (x *Exchange) isShutDown(err error) bool {
	if errors.Is(err, ErrShutdown) {
		return true
	}
	var client *ClientError
	return errors.Is(context.Cause(x.context()), ErrShutdown) &&
		(errors.Is(err, pool.ErrInterrupted) || errors.Is(err, context.Canceled) || errors.As(err, &client))
}
