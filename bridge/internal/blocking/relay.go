package blocking

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/exchange"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/spool"
)

const (
	// relayBuffer is how much goes from the spool to the client at a time, in bytes, if there
	// is memory for it.
	relayBuffer = 64 << 10
	// heldBack is what net/http keeps of a body until the handler has returned, in bytes:
	// writing less never waits for the client.
	heldBack = 2 << 10
	// sharedPatience is how long the rest of an answer on a shared connection may find no room
	// in the spool. Then it is given up: it must not hold up others.
	sharedPatience = 100 * time.Millisecond
)

// reply sends the client an answer that is here whole.
func (c *call) reply() error {
	a, h, status := &c.x.Reply, c.w.Header(), c.x.Reply.Status
	c.endConnection(h)
	if answer := c.Site.ErrorHandler; answer != nil && a.Err != nil && answer(c.w, c.R, status, a.Err) {
		c.handedOver = true
		return nil
	}
	a.SetFields(h)
	c.w.WriteHeader(status)
	switch {
	case len(a.Body) == 0:
		return nil
	case len(a.Body) <= heldBack:
		return c.write(a.Body)
	}
	to := c.clientWriter()
	to.extend()
	err := c.write(a.Body)
	to.done(err)
	return err
}

// relay sends the client an answer while it arrives. What the client is too slow for waits in
// a spool.Pipe, so the application is read at its own pace, and the worker is free when it has
// finished. When the client has been sent all there is, it is flushed to the network: a record
// the application flushed reaches the client.
func (c *call) relay() (err error) {
	to := c.clientWriter()
	to.extend()
	defer func() { to.done(err) }()
	c.endConnection(c.w.Header())
	c.w.WriteHeader(c.x.Reply.Status)

	owner := spool.Owner{Client: spool.ClientOf(c.x.Who.Addr), Cutter: to}
	pipe := c.newPipe(owner)
	ctx, leave := context.WithCancel(c.R.Context())
	rv := &receiver{site: c.Site, rest: c.x.Rest, beside: c.beside.take(), pipe: pipe, ctx: c.R.Context(), done: make(chan struct{})}
	rv.rest.Begin(pipe)
	rv.beside.watch(ctx)
	go rv.run()
	defer func() {
		leave()
		pipe.Close()
		<-rv.done
	}()
	err = c.copy(to, pipe)
	if err != nil && to.cut.Load() {
		err = spool.ErrCut // and not that writing took too long
	}
	return err
}

// newPipe returns what holds the part of an answer that the client is too slow for.
func (c *call) newPipe(owner spool.Owner) *spool.Pipe {
	store := c.Site.Application.Spool()
	if c.beside.lease.Shared() {
		return store.NewImpatientPipe(owner, sharedPatience)
	}
	return store.NewPipe(owner)
}

// copy copies the beginning of the content and what comes through pipe to the client, up to
// the length that was announced.
func (c *call) copy(to *clientWriter, pipe *spool.Pipe) error {
	buf := pipe.Scratch()
	defer buf.Free()
	limit, sent := c.x.Limit(), c.relayed
	send := func(p []byte) error {
		if limit >= 0 && int64(len(p)) > limit-sent {
			c.x.Exceeded()
			p = p[:limit-sent]
		}
		sent += int64(len(p))
		if len(p) == 0 {
			return nil
		}
		to.extend()
		return c.write(p)
	}
	if err := send(c.x.First); err != nil {
		return err
	}
	c.x.FirstSent()
	for {
		if pipe.Len() == 0 {
			if err := to.rc.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
				return clientError(err)
			}
		}
		if sent == limit {
			return nil // the client has it all, whenever the application ends
		}
		n, err := pipe.Read(buf.Bytes())
		if err := send(buf.Bytes()[:n]); err != nil {
			return err
		}
		if n == len(buf.Bytes()) {
			buf.Grow(relayBuffer)
		}
		switch {
		case err == io.EOF:
			return c.x.Ended(sent)
		case err != nil:
			return err
		}
	}
}

func (c *call) write(p []byte) error {
	n, err := c.w.Write(p)
	c.x.Out.BytesOut += int64(n)
	if err != nil {
		return clientError(err)
	}
	return nil
}

// receiver reads the application's answer into a pipe, in a goroutine of its own.
type receiver struct {
	site   *Site
	rest   *exchange.Rest
	beside beside
	pipe   *spool.Pipe
	ctx    context.Context // of the request
	done   chan struct{}
}

func (rv *receiver) run() {
	defer close(rv.done)
	var err error
	for over := false; !over; {
		ev, e := rv.beside.lease.Next(rv.rest.Until())
		over, err = rv.rest.Happened(ev, e)
	}
	if errors.Is(err, pool.ErrInterrupted) {
		err = rv.beside.interruption(rv.ctx)
	}
	rv.beside.quiesce()
	if h := rv.rest.Over(err); h != nil {
		rv.site.abandon(h, rv.beside)
	}
}
