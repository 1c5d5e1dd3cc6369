//go:build linux

package loop

import (
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/blocking"
)

// toGoroutine has the exchange go on in a goroutine of its own, and with it the connection.
func (k *call) toGoroutine() {
	c, s, x := k.conn, k.loop.server, k.x
	if k.lease != nil {
		k.lease.Notify(nil)
	}
	x.Out.BytesIn = int64(len(k.body))
	p := blocking.Progress{Original: k.original, Request: k.View, Began: k.began, Lease: k.lease, Nest: k.nest, Ticket: k.ticket}
	w := &tailWriter{call: k, out: c.out}
	if p.W = w; k.relay.begun {
		w.sent, w.chunked = true, k.relay.chunked
		p.Relaying, p.Sent = true, k.relay.sent
	}
	k.lease, k.waits = nil, false // the loop's part is over
	rest := c.in
	nc, err := c.detach()
	s.tails.Go(func() {
		w.conn, w.err = nc, err // what the client has not taken is written with what comes next
		aborted := s.Site.Resume(x, k.wait, p)
		if err := w.finish(); err != nil || aborted || k.gone != nil {
			k.last = true
			if aborted && !k.original.ProtoAtLeast(1, 1) {
				_ = c.SetLinger(0) // the end of the connection would be the end of the answer
			}
		}
		k.ctx.end(errAnswered)
		s.Depart()
		if k.last {
			_ = nc.Close()
			s.track(c, http.StateClosed)
			return
		}
		s.track(c, http.StateIdle)
		s.hand(c, nc, rest)
	})
}

// errAnswered ends the context of a request that was answered.
var errAnswered = errors.New("the request was answered")

// tailWriter is the http.ResponseWriter of an exchange that goes on in a goroutine. Its header may
// have been sent.
type tailWriter struct {
	call    *call
	conn    net.Conn
	out     []byte // what the client has not taken of what the loop has sent
	sent    bool   // the header was
	chunked bool
	err     error // of the connection
}

// Header implements http.ResponseWriter.
func (w *tailWriter) Header() http.Header { return w.call.header }

// WriteHeader implements http.ResponseWriter.
func (w *tailWriter) WriteHeader(status int) {
	if w.sent {
		return
	}
	k := w.call
	_, length := k.header["Content-Length"]
	bodyless := k.original.Method == http.MethodHead || status == http.StatusNotModified || status == http.StatusNoContent
	k.endConnection()
	w.sent, w.chunked = true, !length && !bodyless && k.original.ProtoAtLeast(1, 1)
	w.out = new(encoder).header(nil, k, time.Now(), status, w.chunked)
}

// Write implements http.ResponseWriter.
func (w *tailWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	switch {
	case w.err != nil:
		return 0, w.err
	case len(p) == 0 || w.call.original.Method == http.MethodHead:
		return len(p), nil
	case w.chunked:
		w.out = append(strconv.AppendInt(w.out, int64(len(p)), 16), crlf...)
		w.out = append(append(w.out, p...), crlf...)
	case len(w.out) > 0:
		w.out = append(w.out, p...)
	default:
		_, w.err = w.conn.Write(p)
		return len(p), w.err
	}
	w.err = w.flush()
	return len(p), w.err
}

func (w *tailWriter) flush() error {
	if len(w.out) > 0 && w.err == nil {
		_, w.err = w.conn.Write(w.out)
		w.out = w.out[:0]
	}
	return w.err
}

// FlushError is for http.ResponseController.
func (w *tailWriter) FlushError() error { return w.flush() }

// SetWriteDeadline is for http.ResponseController.
func (w *tailWriter) SetWriteDeadline(t time.Time) error { return w.conn.SetWriteDeadline(t) }

// finish sends what is left.
func (w *tailWriter) finish() error {
	if w.chunked && !w.call.x.Out.Aborted {
		w.out = append(w.out, "0\r\n\r\n"...)
	}
	return w.flush()
}
