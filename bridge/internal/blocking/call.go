package blocking

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/internal/exchange"
	"github.com/sluice-proxy/sluice/bridge/internal/nested"
	"github.com/sluice-proxy/sluice/bridge/pool"
)

// call is one call of ServeHTTP. It is the client and the driver of an exchange, and belongs
// to the goroutine of ServeHTTP.
type call struct {
	View
	x *exchange.Exchange

	w        http.ResponseWriter
	original *http.Request // the client's
	began    time.Time

	source *clientReader // the client's body, if there is one
	body   body          // what remains to be sent with r
	head   []byte        // the request as it is sent, or its first part; memory is kept
	ticket admission.Ticket
	beside beside
	nest   *nested.Request // nil: the request does not come from this machine
	held   *heldWait       // nil: the client was not held
	file   *os.File        // that was opened for X-Sendfile

	relayed    int64 // of the content, before the relay of this call began
	handedOver bool  // the front answers
	bodyHere   bool  // another driver has read the client's body, whatever original.Body still has of it
	sentFile   bool  // the front has answered, with a file of its own
	tells      bool  // the request is this program's own, and nobody waits for the answer
	keepIfRead bool  // the connection, if the body is read to its end after the answer
}

// keepHead is the largest buffer for a request's head that is kept, in bytes.
const keepHead = 128 << 10

// begin begins the exchange. Its frames are gone when the request waits, as far as they are not
// inlined: the stack of a request that is parked must stay small.
//
//go:noinline
func (c *call) begin(s *Site, w http.ResponseWriter, r *http.Request) exchange.Wait {
	c.View, c.w, c.original, c.began = View{Site: s, R: r}, w, r, time.Now()
	s.Identify(r, &c.x.Who)
	return c.x.Begin(&s.Site, c, c)
}

// reset forgets everything but the memory.
//
//go:noinline
func (c *call) reset() {
	c.x.Reset()
	head := c.head[:0]
	if cap(head) > keepHead {
		head = nil
	}
	*c = call{x: c.x, head: head}
}

// drive takes the exchange to its end.
func (c *call) drive(w exchange.Wait) {
	for w.For != exchange.Nothing {
		if w.For == exchange.Event {
			w = c.x.Happened(c.beside.lease.Next(w.Until))
		} else {
			w = c.wait(w)
		}
	}
}

// end gives back what the call itself holds.
func (c *call) end() {
	if c.source != nil {
		c.x.Out.BytesIn = c.source.n
	}
	if c.nest != nil {
		c.nest.End()
	}
	c.body.close()
	c.x.Over()
	c.x.Out.Total = time.Since(c.began)
}

// wait waits for what takes long, or is rare.
//
//go:noinline
func (c *call) wait(w exchange.Wait) exchange.Wait {
	x := c.x
	switch w.For {
	case exchange.Body:
		return x.BodyRead(c.takeBody())
	case exchange.Grant:
		return x.Granted(c.admit())
	case exchange.Connection:
		l, err := c.connect(w.Until)
		if err != nil {
			return x.Leased(nil, err)
		}
		return x.Leased(l, nil)
	case exchange.Send:
		return x.Sent(c.send())
	case exchange.Pause:
		return x.Paused(sleep(c.R.Context(), time.Until(w.Until)))
	case exchange.Reply:
		if c.tells {
			return x.Replied(nil)
		}
		return x.Replied(c.reply())
	case exchange.Relay:
		return x.Relayed(c.relay())
	case exchange.Held:
		return c.hold()
	case exchange.Upgrade:
		return x.Upgraded(c.upgraded())
	case exchange.Open:
		return x.Opened(c.openFile())
	case exchange.File:
		return x.FileSent(c.sendFile())
	default: // exchange.Front
		return x.FrontServed(c.serveByFront())
	}
}

// application is what the exchange waits for: the application, or its authorizer.
func (c *call) application() *Application {
	if c.x.Asking() {
		return &c.Site.Authorizing
	}
	return &c.Site.Application
}

// admit waits for the gate.
func (c *call) admit() (admission.Ticket, error) {
	if !c.x.Asking() && !c.tells {
		c.track()
	}
	t, err := c.application().Gate.Acquire(c.R.Context(), &c.x.Ask)
	c.ticket = t
	return t, err
}

// connect waits for a connection until deadline at the latest. The pool's own limit is the
// whole time a request may wait, and does for one that has not waited yet.
func (c *call) connect(deadline time.Time) (*pool.Lease, error) {
	ctx := c.R.Context()
	if time.Until(deadline) < c.x.Patience()-time.Millisecond {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, deadline, pool.ErrWaitTimeout)
		defer cancel()
	}
	l, err := c.application().Pool.Lease(ctx, c.x.Demand)
	c.beside.lease = l
	if err == nil && c.nest != nil && !c.x.Asking() { // what the application sends from there is nested in this request
		raw, local, remote := l.Socket()
		c.nest.Served(c.ticket, raw, local, remote)
	}
	return l, err
}

// send sends the request: all of it in one write if it fits, else its head, and the body in a
// goroutine of its own, so that an early answer is read.
func (c *call) send() (err error) {
	inline, whole := c.body.inline()
	c.head, err = c.beside.lease.Begin(c.head[:0], &c.x.Request, inline, whole)
	if err == nil && !whole {
		c.beside.sender = startSender(c.beside.lease, &c.body, &c.Site.sendBuffers)
	}
	return err
}

// sleep waits for d, or less if ctx ends; then it returns ctx's cause.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// track has it be found out whether the application itself has sent the request, if it must
// wait. Only what comes from this machine can be.
func (c *call) track() {
	if c.nest == nil { // else it is from before a local redirect
		c.nest = c.Track()
	}
	if c.nest != nil {
		c.x.Ask.Peer = c
	}
}

// Track has it be found out whether the application itself has sent the request. It returns nil if
// nobody wants to know, or the request cannot have been sent by it.
func (v *View) Track() *nested.Request {
	finder := v.Site.Application.Nested
	if finder == nil {
		return nil
	}
	local, ok := v.R.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return nil // a front that does not say
	}
	return finder.Track(v.R.RemoteAddr, local)
}

// Waits implements admission.Peer.
func (c *call) Waits(t admission.Ticket) { c.nest.Waits(t) }

// beside is the lease of an attempt, and what runs beside it.
type beside struct {
	lease   *pool.Lease
	unwatch func()  // ends the watch over the client, and waits for an interruption under way
	sender  *sender // sends the body, nil if that went out with the head
}

// take moves everything to a new owner.
func (b *beside) take() beside {
	moved := *b
	*b = beside{}
	return moved
}

// watch interrupts the lease when ctx ends. It takes the place of an earlier one.
func (b *beside) watch(ctx context.Context) {
	if b.unwatch != nil {
		b.unwatch()
	}
	lease, done := b.lease, make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		lease.Interrupt()
		close(done)
	})
	b.unwatch = func() {
		if !stop() {
			<-done // it would undo a Resume
		}
	}
}

// quiesce ends the watch and the sender, so that the lease is its owner's alone.
func (b *beside) quiesce() {
	if b.unwatch != nil {
		b.unwatch()
		b.unwatch = nil
	}
	if b.sender != nil {
		b.sender.stop(b.lease)
		b.sender = nil
	}
}

// interruption says why the lease was interrupted. It quiesces b.
func (b *beside) interruption(ctx context.Context) error {
	s := b.sender
	b.quiesce()
	switch {
	case s != nil && s.stream != nil && s.stream.err != nil: // net/http has ended ctx because of it
		return clientError(s.stream.err)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case s != nil && s.err != nil:
		return s.err
	}
	return pool.ErrInterrupted
}

// Now implements exchange.Driver.
func (c *call) Now() time.Time { return time.Now() }

// Watch implements exchange.Driver.
func (c *call) Watch() { c.beside.watch(c.R.Context()) }

// Interruption implements exchange.Driver.
func (c *call) Interruption() error { return c.beside.interruption(c.R.Context()) }

// Quiesce implements exchange.Driver.
func (c *call) Quiesce() { c.beside.quiesce() }

// Body implements exchange.Driver.
func (c *call) Body() exchange.BodyState {
	_, inline := c.body.inline()
	s := exchange.BodyState{Length: c.body.length, Inline: inline, Streamed: c.body.stream != nil, Cut: c.source != nil && c.source.isCut()}
	sending := false
	if c.beside.sender != nil {
		s.Separate = true
		sending, s.SentAt = c.beside.sender.sending()
	}
	s.Touched = s.Streamed && (sending || !c.body.stream.untouched())
	return s
}

// Abandon implements exchange.Driver.
func (c *call) Abandon(h *exchange.Hold) { c.Site.await(c.Site.Abandon(h), c.beside.take()) }

// await waits for the application's end in a goroutine of its own.
func (s *Site) await(a *exchange.Abandoned, b beside) {
	b.lease.Resume()
	s.Application.Background(func(ctx context.Context) {
		b.watch(ctx)
		for {
			ev, err := b.lease.Next(a.Until())
			if a.Happened(ev, err) {
				break
			}
		}
		b.quiesce()
		a.Release()
	})
}

// clientError is a failure of the client's, or what the front says of it.
func clientError(err error) error {
	e := &exchange.ClientError{Err: err}
	if errors.Is(err, http.ErrHandlerTimeout) {
		e.Status = http.StatusGatewayTimeout
	} else if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		e.Status = http.StatusRequestEntityTooLarge
	}
	return e
}

var _ interface {
	exchange.Client
	exchange.Driver
	admission.Peer
} = (*call)(nil)
