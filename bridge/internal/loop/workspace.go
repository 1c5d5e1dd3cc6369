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

// workspace is what a call works with, but for what it must remember while it waits in the gate. Most
// requests have the same one from their beginning to their end; many that wait share a few.
type workspace struct {
	loop *loop
	call *call // nil while it is not used
	blocking.View
	x *exchange.Exchange

	original *http.Request // nil while the call is lean, as is header
	header   http.Header   // of the answer
	buf      []byte        // the request as it is sent
	last     bool          // the connection ends with the answer

	lease   *pool.Lease
	serial  uint64             // of its connection
	limited context.CancelFunc // ends the context of the wait for a connection; nil: that has no limit of its own
	leased  leased
	news    notice // of the lease
	watched bool   // the client's leaving interrupts the wait for an event
	sendErr error
	relay   relay

	// Made once: there are several of them for each request.
	deliver func(*pool.Lease, error)
	watch   func(fd int, serial uint64, came *atomic.Bool) error
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
	// workspacesMax is how many workspaces without a call it keeps, and how many kits. Those that wait
	// take and leave them in turn.
	workspacesMax = 256
)

func (l *loop) newCall() *call {
	if n := len(l.spare); n > 0 {
		k := l.spare[n-1]
		l.spare = l.spare[:n-1]
		return k
	}
	k := &call{loop: l}
	k.getWorkspace()
	return k
}

// getWorkspace gives a call that has none a workspace.
func (k *call) getWorkspace() {
	l := k.loop
	n := len(l.workspaces)
	if n == 0 {
		w := &workspace{loop: l, x: new(exchange.Exchange)}
		w.fill()
		w.deliver, w.watch = w.delivered, w.watches
		w.news.begin(l, w.happened)
		l.workspaces, n = append(l.workspaces, w), 1
	}
	k.workspace = l.workspaces[n-1]
	l.workspaces[n-1] = nil
	l.workspaces = l.workspaces[:n-1]
	k.workspace.call = k
}

// putWorkspace leaves the workspace, which is clear, to other calls.
func (k *call) putWorkspace() {
	w, l := k.workspace, k.loop
	k.workspace, w.call = nil, nil
	if len(l.workspaces) < workspacesMax {
		l.workspaces = append(l.workspaces, w)
	}
}

// take has the call be about a request.
func (k *call) take(r *http.Request) {
	k.original, k.View = r, blocking.View{Site: k.site.Site, R: r}
}

// clear forgets everything but the memory.
func (w *workspace) clear() {
	w.x.Reset()
	clear(w.header)
	w.View, w.original, w.lease, w.serial = blocking.View{}, nil, nil, 0
	w.relay, w.last, w.watched = relay{}, false, false
	if cap(w.buf) > bufKeep {
		w.buf = nil
	}
}

// relaying reports whether the client is sent an answer while it arrives.
func (k *call) relaying() bool { return k.workspace != nil && k.relay.begun }

// delivered takes what the pool delivers, in any goroutine.
func (w *workspace) delivered(l *pool.Lease, err error) {
	w.leased.lease, w.leased.err = l, err
	if w.leased.first.Swap(true) {
		w.loop.post(func() {
			k := w.call
			k.wake()
			k.resume(k.connected())
		})
	}
}

// watches has the loop tell what happens to the connection of the lease.
func (w *workspace) watches(fd int, serial uint64, came *atomic.Bool) error {
	w.serial = serial
	return w.loop.watch(w.call, fd, serial, came)
}

// happened goes on with what has come on the lease, if the call still has it.
func (w *workspace) happened() {
	if w.call != nil {
		w.call.happened()
	}
}
