//go:build linux

package loop

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/blocking"
	"github.com/sluice-proxy/sluice/bridge/internal/content"
	"github.com/sluice-proxy/sluice/internal/halfclose"
)

// toGoroutine has the exchange go on in a goroutine of its own, and with it the connection.
func (k *call) toGoroutine() {
	c, s, x := k.conn, k.loop.server, k.x
	if k.lease != nil {
		k.lease.Notify(nil)
	}
	x.Out.BytesIn = int64(len(k.body))
	if len(k.body) > 0 { // it may not have been sent yet
		k.original.Body = io.NopCloser(bytes.NewReader(k.body))
	}
	p := blocking.Progress{Original: k.original, Request: k.View, Began: k.began, Lease: k.lease, Nest: k.nest, Ticket: k.ticket}
	w := &tailWriter{call: k, out: c.out, length: -1}
	if p.W = w; k.relay.begun {
		w.sent, w.chunked = true, k.relay.chunked
		p.Relaying, p.Sent = true, k.relay.sent
	}
	k.lease, k.waits = nil, false // the loop's part is over
	rest := c.in
	s.beginTail(k)
	nc, err := c.detach()
	s.tails.Go(func() {
		defer s.endTail(k)
		look := k.lookOut(nc)
		w.conn, w.err = nc, err // what the client has not taken is written with what comes next
		aborted := k.site.Site.Resume(x, k.wait, p)
		if err := w.finish(); err != nil || aborted || k.gone != nil {
			k.last = true
			if aborted && !k.original.ProtoAtLeast(1, 1) {
				_ = c.SetLinger(0) // the end of the connection would be the end of the answer
			}
		}
		k.ctx.end(errAnswered)
		k.site.Depart()
		rest = append(rest, look.stop()...)
		if k.last || look.ended {
			_ = look.conn.Close()
			s.track(c, http.StateClosed)
			return
		}
		s.track(c, http.StateIdle)
		s.hand(c, nc, rest)
	})
}

// lookout notices that the client of a request leaves which goes on in a goroutine. It reads a byte,
// as net/http does: a client that sends the next request is not looked at any more.
type lookout struct {
	conn  net.Conn // hides that a client that waits has closed its sending side
	come  [1]byte
	n     int
	ended bool
	done  chan struct{}
}

// lookOut has the request's context end when its client leaves, until stop.
func (k *call) lookOut(nc net.Conn) *lookout {
	c, s := k.conn, k.loop.server
	o := &lookout{done: make(chan struct{})}
	o.conn = halfclose.Config{
		Permit: func(net.Conn) bool { return s.Permit(c) },
		Done:   func(net.Conn) { s.Done(c) },
	}.Wrap(nc)
	halfclose.Track(o.conn, http.StateActive)
	go func() {
		defer close(o.done)
		var err error
		if o.n, err = o.conn.Read(o.come[:]); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			o.ended = true
			k.ctx.end(context.Canceled)
		}
	}()
	return o
}

// stop returns what was read.
func (o *lookout) stop() []byte {
	_ = o.conn.SetReadDeadline(time.Unix(1, 0)) // if it fails, the read has ended
	<-o.done
	_ = o.conn.SetReadDeadline(time.Time{})
	halfclose.Track(o.conn, http.StateIdle)
	return o.come[:o.n]
}

// tails are the requests that go on in goroutines.
type tails struct {
	sync.WaitGroup
	mu    sync.Mutex
	calls map[*call]struct{}
}

func (s *Server) beginTail(k *call) {
	s.tails.mu.Lock()
	defer s.tails.mu.Unlock()
	if s.tails.calls == nil {
		s.tails.calls = make(map[*call]struct{})
	}
	s.tails.calls[k] = struct{}{}
}

func (s *Server) endTail(k *call) {
	s.tails.mu.Lock()
	defer s.tails.mu.Unlock()
	delete(s.tails.calls, k)
}

// cutTails ends the requests that have come from l with why, and their connections if close is true.
func (s *Server) cutTails(l *loop, why error, close bool) {
	s.tails.mu.Lock()
	defer s.tails.mu.Unlock()
	for k := range s.tails.calls {
		if k.loop != l {
			continue
		}
		k.ctx.end(why)
		if close {
			k.conn.reset() // no answer is to look complete
			_ = k.conn.Close()
		}
	}
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
	length  int64 // of the content, as it was announced; -1: it was not, or others see to it
	written int64
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
	announced, length := k.header["Content-Length"]
	bodyless := k.original.Method == http.MethodHead || content.None(status)
	if length && !bodyless {
		w.length, _ = strconv.ParseInt(announced[0], 10, 64) // net/http's file server, and this program, write what it is
	}
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
	case w.length >= 0 && w.written+int64(len(p)) > w.length:
		return 0, http.ErrContentLength
	}
	w.written += int64(len(p))
	switch {
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

// finish sends what is left. Its error says that the connection cannot be used any more.
func (w *tailWriter) finish() error {
	if w.written < w.length && w.err == nil {
		w.err = io.ErrUnexpectedEOF
	}
	if w.chunked && !w.call.x.Out.Aborted {
		w.out = append(w.out, "0\r\n\r\n"...)
	}
	return w.flush()
}
