//go:build linux

package loop

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/internal/blocking"
	"github.com/sluice-proxy/sluice/bridge/internal/exchange"
	"github.com/sluice-proxy/sluice/bridge/internal/nested"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// call is a request that a loop serves: the client and the driver of an exchange. It is used again
// for other requests. What it works with is its workspace, which it gives back when it waits in the gate
// for long: its own fields are what is kept then.
type call struct {
	*workspace // nil while the call is parked
	loop       *loop
	conn       *Conn // nil while it is not used
	site       *Site

	raw    []byte // the header of the request, as it came
	body   []byte // of the request
	ctx    *requestContext
	began  time.Time
	wait   exchange.Wait
	waits  bool            // for what wait says, and will be told
	leanAt time.Time       // when memory is given back, if it waits until then
	gone   error           // why nobody waits for the answer; nil: somebody does
	parked exchange.Parked // while there is no workspace
	held   *heldCall       // nil: the client is not held

	nest   *nested.Request
	ticket admission.Ticket // that waits
	asked  atomic.Uint32    // how many times the gate was asked
}

// serve begins a request. Rest is what was read after it: that stays with the connection, wherever the
// request leads.
func (c *Conn) serve(site *Site, r *http.Request, header, body, rest []byte) {
	s := c.loop.server
	if c.isClosed() { // for another, before the request began
		c.cut(nil)
		return
	}
	s.track(c, http.StateActive)
	site.Arrive()
	k := c.loop.newCall()
	c.call, k.conn, k.site, k.began = k, c, site, c.loop.now
	c.takes = time.Duration(site.Site.Config.Timeouts.Client)
	k.ctx = r.Context().(*requestContext)
	k.raw, k.body = append(k.raw[:0], header...), append(k.body[:0], body...)
	c.keep(rest)
	k.take(r)
	site.Site.Identify(k.R, &k.x.Who)
	k.drive(k.x.Begin(&site.Site.Site, k, k))
	if c.ended && c.call == k {
		c.sideClosed()
	}
}

// drive takes the exchange on until it waits, or is over.
func (k *call) drive(w exchange.Wait) {
	x := k.x
	for {
		k.wait = w
		if !ofAttempt(w.For) {
			k.lease = nil // the exchange has given it back: it may be another request's by now
		}
		switch w.For {
		case exchange.Nothing:
			if !k.streamOver() {
				k.await()
				return
			}
			k.end()
			return
		case exchange.Body:
			w = x.BodyRead(nil)
		case exchange.Grant:
			t, err, ok := k.enter()
			if !ok {
				k.await()
				return
			}
			w = x.Granted(t, err)
		case exchange.Connection:
			if !k.connect() {
				k.await()
				return
			}
			w = k.connected()
		case exchange.Send:
			if !k.send() {
				k.await()
				return
			}
			w = x.Sent(k.sendErr)
		case exchange.Event:
			ev, err := k.next()
			if ev.Kind == 0 && err == nil {
				k.await()
				return
			}
			w = x.Happened(ev, err)
		case exchange.Pause:
			if k.gone == nil {
				k.await()
				return
			}
			w = x.Paused(k.gone)
		case exchange.Reply:
			err := k.reply()
			if err == nil && len(k.conn.out) > 0 {
				if k.gone == nil {
					k.await()
					return
				}
				err = clientError(k.gone) // nobody takes the rest
			}
			w = x.Replied(err)
		case exchange.Relay:
			k.beginRelay()
			return
		case exchange.Held:
			var held bool
			if w, held = k.hold(); held {
				return
			}
		default: // a file, or what the front has, is not for a loop
			k.toGoroutine()
			return
		}
	}
}

// ofAttempt reports whether a wait is one during an attempt, which has a lease.
func ofAttempt(f exchange.For) bool {
	switch f {
	case exchange.Send, exchange.Event, exchange.Relay, exchange.Upgrade, exchange.Open:
		return true
	}
	return false
}

// await has the call wait. Whoever tells it calls resume.
func (k *call) await() {
	k.waits = true
	switch {
	case k.wait.For == exchange.Grant && k.ticket.Lane() == admission.Long: // many may come at once
		k.lean()
	case k.wait.For == exchange.Grant, k.wait.For == exchange.Event && !k.x.HasAnswer():
		k.leanAt = k.loop.now.Add(exchange.WatchAfter)
	}
	k.conn.arm()
}

// resume goes on after a wait, with what the exchange says to what has happened after wake.
func (k *call) resume(w exchange.Wait) {
	c := k.conn
	k.drive(w)
	c.run()
}

// due is when the wait is over; zero: never.
func (k *call) due() time.Time {
	switch {
	case k.holding():
		return k.held.due()
	case k.relaying():
		return k.relay.due(k)
	case k.waits && (k.wait.For == exchange.Event || k.wait.For == exchange.Pause):
		return earliest(k.wait.Until, k.leanAt)
	}
	return k.leanAt
}

// expired says that the time may be over.
func (k *call) expired() {
	now := k.loop.now
	switch {
	case k.holding():
		k.heldExpired()
	case k.relaying():
		k.relayExpired()
	case !k.waits:
	case !k.leanAt.IsZero() && !now.Before(k.leanAt):
		k.lean()
		if k.due().IsZero() || now.Before(k.due()) {
			return
		}
		k.expired()
	case k.wait.Until.IsZero() || now.Before(k.wait.Until):
	case k.wait.For == exchange.Event:
		k.wake()
		k.resume(k.x.Happened(upstream.Event{}, k.lease.Expired()))
	case k.wait.For == exchange.Pause:
		k.wake()
		k.resume(k.x.Paused(nil))
	}
}

// left says that nobody waits for the answer any more.
func (k *call) left(cause error) {
	if k.gone != nil {
		return
	}
	k.gone = cause
	k.ctx.end(cause) // ends a wait for a connection, too
	switch {
	case k.holding():
		k.release(cause)
	case k.relaying():
		k.relayLeft()
	case !k.waits:
	case k.wait.For == exchange.Grant:
		k.ticket.Release()
		k.asked.Add(1)
		k.wake()
		k.resume(k.x.Granted(admission.Ticket{}, cause))
	case k.wait.For == exchange.Pause:
		k.wake()
		k.resume(k.x.Paused(cause))
	case k.wait.For == exchange.Event && k.watched:
		k.wake()
		k.resume(k.x.Happened(upstream.Event{}, k.lease.Interrupted()))
	case k.wait.For == exchange.Nothing: // the end of a stream is not taken
		k.wake()
		k.resume(k.wait)
	case k.wait.For == exchange.Reply:
		k.wake()
		k.resume(k.x.Replied(clientError(cause)))
	}
}

// unwritable says that the client cannot be written to.
func (k *call) unwritable(err error) {
	switch {
	case k.holding():
		k.conn.out = nil
		k.release(clientError(err))
	case k.relaying():
		k.relayFailed(clientError(err))
	case k.waits && k.wait.For == exchange.Reply:
		k.conn.out = nil
		k.wake()
		k.resume(k.x.Replied(clientError(err)))
	default:
		k.conn.out = nil // or its time would be over again and again
		k.left(context.Canceled)
	}
}

// flushed says that the client has taken all that it was sent.
func (k *call) flushed() {
	switch {
	case k.holding():
		k.heldOn()
	case k.relaying():
		k.relayOn()
	case k.waits && k.wait.For == exchange.Nothing:
		k.wake()
		k.resume(k.wait)
	case k.waits && k.wait.For == exchange.Reply:
		k.wake()
		k.resume(k.x.Replied(nil))
	}
}

func clientError(err error) error { return &exchange.ClientError{Err: err} }

// application is what the exchange waits for: the application, or its authorizer.
func (k *call) application() *blocking.Application {
	if k.x.Asking() {
		return &k.Site.Authorizing
	}
	return &k.Site.Application
}

// enter asks the gate. ok is false if Settle will be called.
func (k *call) enter() (t admission.Ticket, err error, ok bool) {
	if k.gone != nil {
		return t, k.gone, true
	}
	if !k.x.Asking() {
		if k.nest == nil { // else it is from before a local redirect
			k.nest = k.Track()
		}
		if k.nest != nil {
			k.x.Ask.Peer = k
		}
	}
	k.asked.Add(1)
	t, granted, err := k.application().Gate.TryAcquire(&k.x.Ask, k)
	k.ticket = t
	if err != nil || granted {
		return t, err, true
	}
	if k.nest != nil && k.x.Ask.Peer != nil {
		k.nest.Waits(t)
	}
	return t, nil, false
}

// Settle implements admission.Waiter.
func (k *call) Settle(err error) {
	asked := k.asked.Load()
	k.loop.post(func() {
		if k.asked.Load() != asked || !k.waits { // it was given up
			return
		}
		t := k.ticket
		if err != nil {
			t = admission.Ticket{}
		}
		k.wake()
		k.resume(k.x.Granted(t, err))
	})
}

// Waits implements admission.Peer.
func (k *call) Waits(t admission.Ticket) { k.nest.Waits(t) }

// connect asks the pool for a connection. It returns false if delivered will be told.
func (k *call) connect() bool {
	k.leased.lease, k.leased.err = nil, nil
	k.leased.first.Store(false)
	if k.gone != nil {
		k.leased.err = k.gone
		return true
	}
	var ctx context.Context = k.ctx
	if until := k.wait.Until; until.Sub(k.loop.now) < k.x.Patience()-time.Millisecond {
		ctx, k.limited = context.WithDeadlineCause(ctx, until, pool.ErrWaitTimeout)
	}
	k.x.Demand.Loop = k.loop
	k.application().Pool.LeaseFunc(ctx, k.x.Demand, k.deliver)
	return k.leased.first.Swap(true)
}

// connected goes on with what the pool has delivered.
func (k *call) connected() exchange.Wait {
	if k.limited != nil {
		k.limited()
		k.limited = nil
	}
	l, err := k.leased.lease, k.leased.err
	k.leased.lease = nil
	if err != nil {
		return k.x.Leased(nil, err)
	}
	k.lease = l
	if k.nest != nil && !k.x.Asking() { // what the application sends from there is nested in this request
		raw, local, remote := l.Socket()
		k.nest.Served(k.ticket, raw, local, remote)
	}
	return k.x.Leased(l, nil)
}

// sendNow is the largest request that is sent by the loop, in bytes, as the client sends it: for one
// that is not much larger a socket has room in every case, and a write does not wait.
const sendNow = 16 << 10

// send sends the request. It returns false if a goroutine does, because that waits.
func (k *call) send() bool {
	l := k.lease
	l.Notify(&k.news.tell)
	if k.sendErr = l.Watch(k.watch); k.sendErr != nil {
		return true // the next event is the same error
	}
	body := k.sendable()
	if l.BeginWaits() || len(k.raw)+len(body) > sendNow {
		go func() {
			buf, err := l.Begin(k.buf[:0], &k.x.Request, body, true)
			k.loop.post(func() {
				k.buf, k.sendErr = buf, err
				k.wake()
				k.resume(k.x.Sent(err))
			})
		}()
		return false
	}
	k.buf, k.sendErr = l.Begin(k.buf[:0], &k.x.Request, body, true)
	return true
}

// next returns the application's next event, if it has come.
func (k *call) next() (upstream.Event, error) {
	if k.gone != nil && k.watched {
		return upstream.Event{}, k.lease.Interrupted()
	}
	return k.lease.TryNext()
}

// readable implements reader.
func (k *call) readable(serial uint64, ending bool) {
	if k.workspace == nil || k.lease == nil || k.serial != serial {
		return
	}
	k.lease.Readable(ending)
	k.happened()
}

// happened goes on with what has come on the lease.
func (k *call) happened() {
	switch {
	case k.conn == nil || k.lease == nil:
	case k.relaying():
		k.relayOn()
	case k.waits && k.wait.For == exchange.Event:
		k.wake()
		k.resume(k.wait)
	}
}

// end ends the call.
func (k *call) end() {
	c, site, x := k.conn, k.site, k.x
	if k.nest != nil {
		k.nest.End()
	}
	x.Over()
	x.Out.BytesIn = int64(len(k.body))
	x.Out.Total = k.loop.now.Sub(k.began)
	site.Site.Observe(k.original, &x.Out)
	aborted, gone, last := x.Out.Aborted, k.gone != nil, k.last
	chunks := k.original.ProtoAtLeast(1, 1) // else the end of the connection is the end of the answer
	k.ctx.end(context.Canceled)
	k.reset()
	site.Depart()
	if aborted && !chunks {
		c.reset()
	}
	if aborted || gone {
		c.out, c.doomed = nil, true
	}
	c.answered(last)
}

// reset makes the call one for another request.
func (k *call) reset() {
	k.clear()
	k.conn, k.site, k.ctx, k.nest, k.held = nil, nil, nil, nil, nil
	k.wait, k.waits, k.gone, k.ticket = exchange.Wait{}, false, nil, admission.Ticket{}
	if cap(k.raw) > bufKeep {
		k.raw = nil
	}
	if len(k.loop.spare) < spareMax {
		k.loop.spare = append(k.loop.spare, k)
	}
}

// bufKeep is the largest buffer that is kept for other requests, in bytes.
const bufKeep = 16 << 10
