//go:build linux

package loop

import (
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// slowAfter is how long the application may have to wait, in all, for a client that has not taken what
// it was sent of an answer. Then the rest is for a goroutine, which spools it.
const slowAfter = 100 * time.Millisecond

// relay is an answer that the client is sent while it arrives.
type relay struct {
	begun    bool
	chunked  bool
	limit    int64         // of the content; -1: not known
	sent     int64         // of the content
	until    time.Time     // for the next event
	slowAt   time.Time     // when the client is slow; zero: it has taken everything
	patience time.Duration // with the client: what is left of slowAfter
	over     bool          // the application, and what is held of it, is done with
	done     bool          // the client has been sent the content, or will not be sent more
	doneAt   time.Time
	err      error // why the content is not complete
}

// beginRelay sends the header and what there is of the content, and goes on.
func (k *call) beginRelay() {
	x, l := k.x, k.loop
	k.relay = relay{begun: true, limit: x.Limit(), patience: slowAfter}
	r := &k.relay
	k.endConnection()
	_, length := k.header["Content-Length"]
	r.chunked = r.limit != 0 && !length && k.original.ProtoAtLeast(1, 1)
	l.out = l.encoder.header(l.out[:0], k, l.now, x.Reply.Status, r.chunked)
	x.Rest.Begin((*relayOutput)(k))
	if k.gone != nil { // the client has left while it was not watched: nobody tells again
		k.relayLeft()
		return
	}
	if err := k.sendContent(l.out, x.First); err != nil {
		k.relayFailed(err)
		return
	}
	x.FirstSent()
	k.relayOn()
}

// relayOutput is the exchange.Output of a call.
type relayOutput call

// errContentEnded is for content that the client is not sent any more.
var errContentEnded = errors.New("the content has ended")

// Write implements io.Writer.
func (o *relayOutput) Write(p []byte) (int, error) {
	k := (*call)(o)
	if k.relay.done {
		return 0, errContentEnded
	}
	return len(p), k.sendContent(nil, p)
}

// CloseWrite implements exchange.Output.
func (o *relayOutput) CloseWrite(err error) { (*call)(o).contentEnded(err) }

func (k *call) contentEnded(err error) {
	if r := &k.relay; !r.done {
		r.done, r.doneAt, r.err = true, k.loop.now, err
	}
}

var crlf = []byte("\r\n")

// sendContent sends a piece of the content, after header.
func (k *call) sendContent(header, p []byte) error {
	r := &k.relay
	if r.limit >= 0 && int64(len(p)) > r.limit-r.sent {
		k.x.Exceeded()
		p = p[:r.limit-r.sent]
	}
	r.sent += int64(len(p))
	err := k.writeContent(header, k.x.Encode(p))
	if r.sent == r.limit {
		k.contentEnded(nil)
	}
	return err
}

// writeContent writes a piece of the content as the client gets it, after header.
func (k *call) writeContent(header, p []byte) (err error) {
	k.x.Out.BytesOut += int64(len(p))
	switch {
	case len(p) == 0 && len(header) > 0:
		err = k.conn.write(header)
	case len(p) == 0:
	case k.relay.chunked:
		size := append(strconv.AppendInt(header, int64(len(p)), 16), crlf...)
		err = k.conn.writeAll(size, p, crlf)
	case len(header) > 0:
		err = k.conn.writeAll(header, p)
	default:
		err = k.conn.write(p)
	}
	return writeError(err)
}

// relayOn goes on with the answer as far as it has come, and the client takes it.
func (k *call) relayOn() {
	r := &k.relay
	if len(k.conn.out) == 0 && !r.slowAt.IsZero() {
		r.patience, r.slowAt = max(r.slowAt.Sub(k.loop.now), 0), time.Time{}
	}
	for n := 0; !r.over && (len(k.conn.out) == 0 || r.done); n++ {
		if n == turnMax { // others have their turn, too
			k.news.told()
			break
		}
		ev, err := k.lease.TryNext()
		if ev.Kind == 0 && err == nil {
			r.until = k.x.Rest.Until()
			if r.done { // what comes now is the end of the request, or nobody's
				r.until = earliest(r.until, r.doneAt.Add(k.x.Gathers()))
			} else if err := k.writeContent(nil, k.x.EncodeFlush()); err != nil {
				k.relayFailed(err)
				return
			}
			break
		}
		k.relayEvent(ev, err)
	}
	if len(k.conn.out) > 0 && r.slowAt.IsZero() {
		r.slowAt = k.loop.now.Add(r.patience)
	}
	if r.over && (len(k.conn.out) == 0 || r.err != nil) {
		k.relayEnd()
		return
	}
	k.conn.arm()
}

func (k *call) relayEvent(ev upstream.Event, err error) {
	over, err := k.x.Rest.Happened(ev, err)
	if !over {
		return
	}
	if errors.Is(err, pool.ErrInterrupted) && k.gone != nil {
		err = k.gone
	}
	lease := k.lease
	k.lease, k.relay.over = nil, true
	if h := k.x.Rest.Over(err); h != nil {
		k.loop.abandon(k.Site, h, lease)
	}
}

// relayEnd ends an answer that the client has been sent, or will not be sent more of.
func (k *call) relayEnd() {
	r := &k.relay
	err := r.err
	if err == nil {
		err = k.x.Ended(r.sent)
	}
	if err == nil {
		err = k.writeContent(nil, k.x.EncodeEnd())
	}
	if err == nil && r.chunked {
		r.chunked = false
		err = writeError(k.conn.write([]byte("0\r\n\r\n")))
		if err == nil && len(k.conn.out) > 0 {
			k.conn.arm()
			return
		}
	}
	r.begun = false
	k.resume(k.x.Relayed(err))
}

// relayFailed ends the answer because the client cannot be sent more.
func (k *call) relayFailed(err error) {
	r := &k.relay
	if k.contentEnded(err); r.err == nil { // all was sent, and not taken
		r.err = err
	}
	k.conn.out = nil
	if !r.over {
		k.relayEvent(upstream.Event{}, k.lease.Interrupted())
	}
	k.relayEnd()
}

// relayLeft ends the answer because nobody waits for it.
func (k *call) relayLeft() { k.relayFailed(k.gone) }

func (r *relay) due(k *call) time.Time {
	switch {
	case r.over:
		return time.Time{}
	case len(k.conn.out) > 0 && !r.done:
		return r.slowAt
	}
	return r.until
}

// relayExpired says that the time for the application, or for a client that holds it up, may be over.
func (k *call) relayExpired() {
	r, now := &k.relay, k.loop.now
	switch due := r.due(k); {
	case due.IsZero() || now.Before(due):
	case len(k.conn.out) > 0 && !r.done:
		k.toGoroutine()
	case r.done && !now.Before(r.doneAt.Add(k.x.Gathers())):
		k.relayEvent(upstream.Event{}, k.lease.Interrupted())
		k.relayOn()
	default:
		k.relayEvent(upstream.Event{}, k.lease.Expired())
		k.relayOn()
	}
}

var _ io.Writer = (*relayOutput)(nil)
