package bridge

import (
	"context"
	"errors"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// hold is what an exchange holds of the application: the ticket from admission to
// the worker's end, the lease and its attendants during an attempt. It has one
// owner, who may pass it on whole (take), and is given back in parts or whole,
// each part once.
type hold struct {
	ticket  admission.Ticket
	lease   *pool.Lease
	ended   bool    // the application has ended the request
	unwatch func()  // ends the watch over the client, and waits for an interruption under way
	sender  *sender // sends the body, nil if that went out with the head
	surplus func()  // called if the application says more than a complete answer; may be nil
	given   bool    // the answer is complete: the application's end does not concern it any more
	asked   asked   // what the attempt asks for
}

// take moves everything to a new owner.
func (h *hold) take() *hold {
	moved := *h
	*h = hold{}
	return &moved
}

// watch interrupts the lease when ctx ends. It takes the place of an earlier one.
func (h *hold) watch(ctx context.Context) {
	if h.unwatch != nil {
		h.unwatch()
	}
	lease, done := h.lease, make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		lease.Interrupt()
		close(done)
	})
	h.unwatch = func() {
		if !stop() {
			<-done // it would undo a Resume
		}
	}
}

// quiesce ends the watch and the sender, so that the lease is its owner's alone.
func (h *hold) quiesce() {
	if h.unwatch != nil {
		h.unwatch()
		h.unwatch = nil
	}
	if h.sender != nil {
		h.sender.stop(h.lease)
		h.sender = nil
	}
}

// interruption says why the lease was interrupted: the client left, or its body
// could not be read to its end. It quiesces h.
func (h *hold) interruption(ctx context.Context) error {
	s := h.sender
	h.quiesce()
	switch {
	case s != nil && s.stream != nil && s.stream.err != nil: // net/http has ended ctx because of it
		return &clientError{s.stream.err}
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case s != nil && s.err != nil:
		return s.err
	}
	return pool.ErrInterrupted
}

// releaseLease ends an attempt.
func (h *hold) releaseLease() {
	h.quiesce()
	if h.lease != nil {
		h.lease.Release()
		h.lease = nil
	}
}

// next reads the application's next output, and notes its end.
func (h *hold) next(deadline time.Time) (upstream.Event, error) {
	ev, err := h.lease.Next(deadline)
	switch {
	case err == nil:
		h.ended = h.ended || ev.Kind == upstream.End
	case !h.given:
		h.asked.failed(h.lease.Addr(), err)
	}
	return ev, err
}

// release gives everything back: the worker is free. How long it took is worth
// knowing only if the application says that it has finished.
func (h *hold) release() {
	h.releaseLease()
	if h.ended {
		h.ticket.Done()
	} else {
		h.ticket.Release()
	}
	*h = hold{} // nothing of it is true for the target of a local redirect
}

// end gives h back after an exchange that ended with err. An application that is
// still at work keeps its worker, and so lease and ticket, until it has finished,
// although nobody waits for the answer any more.
func (b *Bridge) end(h *hold, err error) {
	h.quiesce()
	if h.mustAwait(err) {
		b.abandon(h.take())
		return
	}
	h.release()
}

// mustAwait reports whether the application is still at work after an exchange that
// ended with err, for nobody. An answer that cannot be used is cut off at once, with
// the connection, unless that carries others.
func (h *hold) mustAwait(err error) bool {
	if err == nil || h.lease == nil || !h.lease.AtWork() {
		return false
	}
	var unusable *appError
	return !errors.As(err, &unusable) || h.lease.Shared()
}

// abandon waits for the application's end in a goroutine of its own. One that had
// begun its answer is cut off as soon as it says more: an application that finds
// its connection closed when it writes stops, and a silent one runs on. On a shared
// connection, which cannot be closed for that, it is asked to stop.
func (b *Bridge) abandon(h *hold) {
	b.abandoned.Add(1)
	if !h.given { // else it may have something left to do
		h.lease.MarkAbandoned()
	}
	h.lease.Resume()
	h.watch(b.ctx)
	begun := h.lease.Spoke()
	b.orphans.Go(func() {
		defer b.abandoned.Add(-1)
		defer h.release()
		stderr := b.stderrOf("", h.lease.Addr())
		defer stderr.End()
		deadline := time.Now().Add(time.Duration(b.cfg.Timeouts.Abandoned))
		for {
			ev, err := h.next(deadline)
			switch {
			case err != nil:
				return
			case ev.Kind == upstream.End:
				if !begun {
					h.asked.answered(h.lease.Addr())
				}
				return
			case begun && ev.Kind == upstream.Output && len(ev.Data) > 0:
				if h.surplus != nil {
					h.surplus()
					h.surplus = nil
				}
				if !h.lease.Shared() {
					return
				}
				h.lease.MarkAbandoned()
			case ev.Kind == upstream.Log:
				_, _ = stderr.Write(ev.Data)
			}
		}
	})
}
