package blocking

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/exchange"
)

// heldWait is what a call waits for while its client is held. It is the hold.Waiter.
type heldWait struct {
	call   *call
	client atomic.Pointer[exchange.HeldClient]
	to     *clientWriter
	come   chan struct{} // has one if there may be something
	began  bool          // the header of a stream was sent
}

// Wake implements hold.Waiter. A client that does not take what it is sent is not waited for.
func (h *heldWait) Wake() {
	if c := h.client.Load(); c != nil && c.IsStream() && c.IsSlow() {
		h.to.Cut()
	}
	select {
	case h.come <- struct{}{}:
	default: // it has one
	}
}

// hold has the client wait, in this goroutine.
func (c *call) hold() exchange.Wait {
	if c.held == nil {
		c.held = &heldWait{call: c, come: make(chan struct{}, 1), to: c.clientWriter()}
	}
	h := c.held
	client, w := c.x.Hold(h)
	if client == nil {
		return w
	}
	if c.nest != nil { // what is held takes no worker
		c.nest.End()
		c.nest = nil
	}
	h.client.Store(client)
	defer h.client.Store(nil)
	var left error
	if client.IsStream() {
		left = h.stream(client)
	} else {
		left = h.await(client, client.Ready)
	}
	return c.x.Released(client, left)
}

// await waits until ready returns true. The error says that the client has left.
func (h *heldWait) await(client *exchange.HeldClient, ready func() bool) error {
	ctx := h.call.R.Context()
	for !ready() {
		var due <-chan time.Time // of a timer that is garbage when nobody refers to it
		if t := client.Due(); !t.IsZero() {
			due = time.After(time.Until(t))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-h.come:
		case now := <-due:
			client.Expired(now)
		}
	}
	return nil
}

// stream sends the client what there is for it, until the stream is over.
func (h *heldWait) stream(client *exchange.HeldClient) (err error) {
	c := h.call
	defer func() { h.to.done(err) }()
	if !h.began {
		h.began = true
		h.to.extend()
		c.endConnection(c.w.Header())
		c.w.WriteHeader(client.Status())
		if err := h.to.flush(); err != nil {
			return err
		}
	}
	var piece []byte
	over := false
	next := func() bool {
		piece, over = client.Next(time.Now())
		return piece != nil || over
	}
	for {
		if err := h.await(client, next); err != nil || over {
			return err
		}
		h.to.extend()
		n, err := c.w.Write(piece)
		client.Sent(n)
		if err == nil {
			err = h.to.flush()
		}
		if err != nil {
			return clientError(err)
		}
	}
}
