//go:build linux

package loop

import (
	"context"
	"net/http"
	"sync/atomic"

	"github.com/sluice-proxy/sluice/bridge/internal/blocking"
	"github.com/sluice-proxy/sluice/bridge/internal/exchange"
	"github.com/sluice-proxy/sluice/bridge/pool"
)

// desk is what a call works with, but for what it must remember while it waits in the gate. Most
// requests have the same one from their beginning to their end; many that wait share a few.
type desk struct {
	loop *loop
	call *call // nil while it is not used
	blocking.View
	x *exchange.Exchange

	original *http.Request // nil while the call is lean, as is header
	header   http.Header   // of the answer
	buf      []byte        // the request as it is sent
	last     bool          // the connection ends with the answer

	lease    *pool.Lease
	serial   uint64             // of its connection
	limited  context.CancelFunc // ends the context of the wait for a connection; nil: that has no limit of its own
	leased   leased
	notified atomic.Bool // ready is posted
	watched  bool        // the client's leaving interrupts the wait for an event
	sendErr  error
	relay    relay

	// Made once: there are several of them for each request.
	deliver func(*pool.Lease, error)
	notify  func()
	ready   func()
}

// leased is what the pool delivers, to the loop or to whoever has asked, whichever comes second.
type leased struct {
	lease *pool.Lease
	err   error
	first atomic.Bool // one of the two was there
}

const (
	// spareMax is how many calls a loop keeps for other requests.
	spareMax = 1024
	// desksMax is how many desks without a call it keeps, and how many kits: as many as are given
	// back by others meanwhile serve a burst of requests that wait.
	desksMax = 64
)

func (l *loop) newCall() *call {
	if n := len(l.spare); n > 0 {
		k := l.spare[n-1]
		l.spare = l.spare[:n-1]
		return k
	}
	k := &call{loop: l}
	k.sitDown()
	return k
}

// sitDown gives a call that has none a desk.
func (k *call) sitDown() {
	l := k.loop
	n := len(l.desks)
	if n == 0 {
		d := &desk{loop: l, x: new(exchange.Exchange)}
		d.fill()
		d.deliver, d.notify, d.ready = d.delivered, d.noticed, d.happened
		l.desks, n = append(l.desks, d), 1
	}
	k.desk = l.desks[n-1]
	l.desks[n-1] = nil
	l.desks = l.desks[:n-1]
	k.desk.call = k
}

// standUp leaves the desk, which is clear, to other calls.
func (k *call) standUp() {
	d, l := k.desk, k.loop
	k.desk, d.call = nil, nil
	if len(l.desks) < desksMax {
		l.desks = append(l.desks, d)
	}
}

// take has the call be about a request.
func (k *call) take(r *http.Request) {
	k.original = r.WithContext(k.ctx)
	k.View = blocking.View{Site: k.loop.server.Site, R: k.original}
}

// clear forgets everything but the memory.
func (d *desk) clear() {
	d.x.Reset()
	clear(d.header)
	d.View, d.original, d.lease, d.serial = blocking.View{}, nil, nil, 0
	d.relay, d.last, d.watched = relay{}, false, false
	if cap(d.buf) > bufKeep {
		d.buf = nil
	}
}

// relaying reports whether the client is sent an answer while it arrives.
func (k *call) relaying() bool { return k.desk != nil && k.relay.begun }

// delivered takes what the pool delivers, in any goroutine.
func (d *desk) delivered(l *pool.Lease, err error) {
	d.leased.lease, d.leased.err = l, err
	if d.leased.first.Swap(true) {
		d.loop.post(func() {
			k := d.call
			k.wake()
			k.resume(k.connected())
		})
	}
}

// noticed is told, in any goroutine, that there is something new on the lease.
func (d *desk) noticed() {
	if d.notified.CompareAndSwap(false, true) {
		d.loop.post(d.ready)
	}
}

// happened goes on with what has come on the lease, if the call still has it.
func (d *desk) happened() {
	d.notified.Store(false)
	if d.call != nil {
		d.call.happened()
	}
}
