package exchange

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/internal/content"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/supervise"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// Hold is what is held of the application for one request: the ticket from admission to the
// worker's end, and the lease during an attempt. It has one owner, who may pass it on as a
// whole, and its parts are given back once.
type Hold struct {
	ticket  admission.Ticket
	lease   Lease  // nil: none
	ended   bool   // the application has ended the request
	given   bool   // the answer is complete: what the application does is its own affair
	surplus func() // called if the application says more than a complete answer; may be nil

	app     Application
	request supervise.Request // the attempt, for its processes
	at      time.Time         // when it began
}

// begin takes the lease of an attempt.
func (h *Hold) begin(l Lease, app Application, ask *admission.Request, at time.Time) {
	h.ticket.At(l.Addr())
	h.lease, h.app, h.at = l, app, at
	h.request = supervise.Request{Method: ask.Method, Path: ask.Path, Route: ask.Route}
}

// take moves everything to a new owner.
func (h *Hold) take() *Hold {
	moved := *h
	*h = Hold{}
	return &moved
}

// note notes what a wait for an event has brought.
func (h *Hold) note(ev upstream.Event, err error) {
	switch {
	case err == nil:
		h.ended = h.ended || ev.Kind == upstream.End
	case !h.given && endedEarly(err):
		lost := h.request
		lost.Age = time.Since(h.at)
		h.app.Processes().Lost(h.lease.Addr(), lost)
	}
}

// answered tells that the header of the answer has come.
func (h *Hold) answered() { h.app.Processes().Answered(h.lease.Addr(), h.request.Route) }

// endedEarly reports whether the connection has ended before the answer did. A request that
// the application provably never read, or had no room for, cannot be what it died of.
func endedEarly(err error) bool {
	var e *pool.Error
	if !errors.As(err, &e) || e.Replay == pool.ReplaySafe || e.Full {
		return false
	}
	return errors.Is(e, io.EOF) || errors.Is(e, syscall.ECONNRESET) || errors.Is(e, syscall.EPIPE)
}

// releaseLease ends an attempt.
func (h *Hold) releaseLease() {
	if h.lease != nil {
		h.lease.Release()
		h.lease = nil
	}
}

// release gives everything back: the worker is free. How long the request took is worth
// knowing only if the application says that it has finished.
func (h *Hold) release() {
	h.releaseLease()
	if h.ended {
		h.ticket.Done()
	} else {
		h.ticket.Release()
	}
	*h = Hold{} // nothing of it is true for the target of a local redirect
}

// settle gives h back after an exchange that has ended with err. If the application is still
// at work, for nobody, it returns the hold that must be abandoned instead.
func (h *Hold) settle(err error) *Hold {
	if h.mustAwait(err) {
		return h.take()
	}
	h.release()
	return nil
}

// mustAwait reports whether the application is still at work after an exchange that has ended
// with err, for nobody. An answer that cannot be used is cut off at once, with the connection,
// unless that carries others.
func (h *Hold) mustAwait(err error) bool {
	if err == nil || h.lease == nil || !h.lease.AtWork() {
		return false
	}
	var unusable *appError
	return !errors.As(err, &unusable) || h.lease.Shared()
}

// noteGiven notes whether the answer is complete before h is given up: then what the
// application does is its own affair, unless it says more.
func (x *Exchange) noteGiven(h *Hold, c *content.Content) {
	s, app, path, instance, announced := x.site, h.app, x.client.Path(), x.Out.Instance, c.Length
	switch h.given = c.Whole(); {
	case !h.given, c.Bodyless:
	case c.Closed:
		h.surplus = func() { s.logResumed(app, path, instance, true) }
	case announced >= 0:
		h.surplus = func() { s.logSurplus(path, instance, announced) }
	}
}

// notSent returns an error in sending the request if that ends the attempt. Mostly the answer,
// or its absence, tells what became of the request.
func notSent(err error) error {
	_, unsendable := errors.AsType[*upstream.RequestError](err)
	if unsendable || errors.Is(err, pool.ErrInterrupted) || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil
}
