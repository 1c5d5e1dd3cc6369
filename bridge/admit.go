package bridge

import (
	"net/http"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

// identify finds out who asks, and whether that one may.
func (x *exchange) identify() error {
	b := x.b
	b.classifier.Client(&x.ask, x.r, &x.client)
	x.out.ClientKey = x.ask.ClientKey
	if b.sharing == nil || x.ask.Shared || x.ask.ClientKey == 0 {
		return nil
	}
	tell, err := b.sharing.admit(x.ask.ClientKey, x.ask.Address, time.Now())
	if tell {
		b.cfg.Logger.Warn("a client key is used from more addresses than client.max_addresses",
			"client_key", admission.ClientKeyName(x.ask.ClientKey), "max_addresses", b.cfg.Client.MaxAddresses, "per", time.Duration(b.cfg.Client.Per), "excess", b.cfg.Client.Excess)
	}
	return err
}

// admit waits for a worker. It returns until when the request may wait for a
// connection: a short one has queue.timeout for both, from queued on; a long one, which
// may have waited for longer already, has it anew.
func (x *exchange) admit(queued time.Time) (deadline time.Time, err error) {
	if err := x.available(); err != nil {
		return time.Time{}, err
	}
	x.b.want() // now: its body may have come for long
	x.track()
	if x.held.ticket, err = x.b.gate.Acquire(x.r.Context(), &x.ask); err != nil {
		return time.Time{}, x.notServed(err)
	}
	lane := x.held.ticket.Lane()
	x.out.Lane = lane.String()
	timeout, now := x.b.patience(), time.Now()
	if lane == admission.Mixed || lane == admission.Long || now.Sub(queued) > timeout {
		queued = now
	}
	return queued.Add(timeout), nil
}

// patience is how long a short request may wait for a worker and a connection.
func (b *backend) patience() time.Duration { return time.Duration(b.settings.Load().Queue.Timeout) }

// describe says what is asked for. A local redirect asks for something else.
func (x *exchange) describe() {
	x.route = x.b.classifier.Request(&x.ask, x.r, x.route)
}

// isEventStream reports whether an answer is one.
func isEventStream(h http.Header) bool {
	v := h["Content-Type"]
	if len(v) == 0 {
		return false
	}
	mediaType, _, _ := strings.Cut(v[0], ";")
	return strings.EqualFold(strings.TrimSpace(mediaType), "text/event-stream")
}
