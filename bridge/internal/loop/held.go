//go:build linux

package loop

import (
	"maps"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/exchange"
)

// heldCall is what a call has besides while its client is held, and while a stream goes on: the call
// itself has no workspace while the client waits.
type heldCall struct {
	call    *call
	client  *exchange.HeldClient // nil while the application is asked again
	posted  atomic.Bool          // woken is posted
	sent    bool                 // the header of a stream was
	chunked bool
	last    bool // the connection ends with the answer

	header http.Header // of a single answer, as far as the authorizer has given it; nil: there is none
}

// hold has the client wait. It returns false if the exchange has to go on with w.
func (k *call) hold() (w exchange.Wait, held bool) {
	h := k.held
	if h == nil {
		h = &heldCall{call: k}
	}
	client, w := k.x.Hold(h)
	if client == nil {
		return w, false
	}
	k.held, h.client = h, client
	if k.nest != nil { // what is held takes no worker
		k.nest.End()
		k.nest = nil
	}
	var header []byte
	if client.IsStream() && !h.sent {
		header = k.beginStream(client.Status())
	}
	if !h.sent && len(k.header) > 0 {
		h.header = maps.Clone(k.header)
	}
	k.leanAt = time.Time{}
	k.raw, k.body = fitting(k.raw), fitting(k.body)
	k.clear()
	k.putWorkspace()
	k.waits = true
	if k.gone != nil { // it has left while it was not watched: nobody tells again
		k.release(k.gone)
		return exchange.Wait{}, true
	}
	if header != nil {
		if err := k.conn.write(header); err != nil {
			k.conn.failed(err)
			return exchange.Wait{}, true
		}
	}
	k.heldOn()
	return exchange.Wait{}, true
}

// beginStream returns the header of a stream.
func (k *call) beginStream(status int) []byte {
	h, l := k.held, k.loop
	k.endConnection()
	h.chunked = k.original.ProtoAtLeast(1, 1)
	l.out = l.encoder.header(l.out[:0], k, l.now, status, h.chunked)
	h.sent, h.last = true, k.last
	return l.out
}

// holding reports whether the client is held.
func (k *call) holding() bool { return k.held != nil && k.held.client != nil }

// Wake implements hold.Waiter.
func (h *heldCall) Wake() {
	if h.posted.CompareAndSwap(false, true) {
		h.call.loop.post(h.woken)
	}
}

func (h *heldCall) woken() {
	h.posted.Store(false)
	if k := h.call; k.held == h && h.client != nil {
		k.heldOn()
	}
}

// heldOn goes on with what there is for the client.
func (k *call) heldOn() {
	h := k.held
	if !h.client.IsStream() {
		if h.client.Ready() {
			k.release(nil)
			return
		}
		k.conn.arm()
		return
	}
	for len(k.conn.out) == 0 {
		p, over := h.client.Next(k.loop.now)
		if over {
			k.release(nil)
			return
		}
		if p == nil {
			break
		}
		h.client.Sent(len(p))
		if err := k.sendPiece(p); err != nil {
			k.conn.failed(err)
			return
		}
	}
	if len(k.conn.out) > 0 && h.client.IsSlow() {
		k.conn.out = nil
		k.release(nil)
		return
	}
	k.conn.arm()
}

// sendPiece sends a piece of a stream.
func (k *call) sendPiece(p []byte) error {
	if !k.held.chunked {
		return k.conn.write(p)
	}
	var size [20]byte
	return k.conn.writeAll(append(strconv.AppendInt(size[:0], int64(len(p)), 16), crlf...), p, crlf)
}

// heldExpired says that the time may be over.
func (k *call) heldExpired() {
	c := k.held.client
	if due := c.Due(); due.IsZero() || k.loop.now.Before(due) {
		return
	}
	c.Expired(k.loop.now)
	k.heldOn()
}

// release goes on with the exchange of a client that is not held any more. Cause is why it has left, if
// it has.
func (k *call) release(cause error) {
	client := k.held.client
	k.held.client = nil
	k.waits = false
	k.unpark()
	maps.Copy(k.header, k.held.header)
	k.held.header = nil
	k.last = k.held.last
	k.x.Restore(&k.Site.Site, k, k, client)
	k.resume(k.x.Released(client, cause))
}

// due is when heldExpired is to be called.
func (h *heldCall) due() time.Time {
	if len(h.call.conn.out) > 0 { // the client is slow: its time is the connection's
		return time.Time{}
	}
	return h.client.Due()
}

// streamOver ends the content of a stream, and reports whether the client has all of it.
func (k *call) streamOver() bool {
	h := k.held
	if h == nil || !h.chunked || k.x.Out.Aborted || k.gone != nil {
		return true
	}
	h.chunked = false
	if err := k.conn.write([]byte("0\r\n\r\n")); err != nil {
		k.gone = clientError(err)
	}
	return len(k.conn.out) == 0
}
