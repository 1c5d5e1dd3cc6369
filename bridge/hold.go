package bridge

import (
	"context"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/fcgi"
	"github.com/sluice-proxy/sluice/bridge/pool"
)

// hold is what an exchange holds of the application: the grant from admission to
// the worker's end, the lease and its attendants during an attempt. It has one
// owner, who may pass it on whole (take), and is given back in parts or whole,
// each part once.
type hold struct {
	grant   *admission.Grant
	lease   *pool.Lease
	unwatch func() bool // ends the watch over the client
	sender  *sender     // sends the body, nil if that went out with the head
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
	h.unwatch = context.AfterFunc(ctx, h.lease.Interrupt)
}

// settle ends the watch and the sender, so that the lease is its owner's alone.
func (h *hold) settle() {
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
// could not be read to its end. It settles h.
func (h *hold) interruption(ctx context.Context) error {
	s := h.sender
	h.settle()
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
	h.settle()
	if h.lease != nil {
		h.lease.Release()
		h.lease = nil
	}
}

// release gives everything back: the worker is free.
func (h *hold) release() {
	h.releaseLease()
	if h.grant != nil {
		h.grant.Release()
		h.grant = nil
	}
}

// abandon keeps lease and grant until the silent application that holds them has
// finished, because its worker is taken although nobody waits for the answer: the
// client has left, or was told that it took too long. h is settled.
func (b *Bridge) abandon(h *hold) {
	b.abandoned.Add(1)
	h.lease.MarkAbandoned()
	h.lease.Resume()
	h.watch(b.ctx)
	b.orphans.Go(func() {
		defer b.abandoned.Add(-1)
		defer h.release()
		stderr := b.stderrOf("", h.lease.Addr())
		defer stderr.End()
		deadline := time.Now().Add(time.Duration(b.cfg.Timeouts.Abandoned))
		for {
			ev, err := h.lease.Next(deadline)
			if err != nil || ev.Type == fcgi.TypeEndRequest {
				return
			}
			if ev.Type == fcgi.TypeStderr {
				_, _ = stderr.Write(ev.Data)
			}
		}
	})
}
