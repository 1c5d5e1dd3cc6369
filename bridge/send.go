package bridge

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

const (
	// sendChunk is how much of a body goes into one write.
	sendChunk = 32 << 10
	// inlineMax is the largest body that goes out in one write with the head. The
	// answer is read after that write, so it must fit into the socket's buffers
	// even if the application reads nothing of it.
	inlineMax = 32 << 10
)

// paramsError refuses a request whose CGI variables are too large together.
type paramsError struct{ size, limit int }

func (e *paramsError) Error() string {
	return fmt.Sprintf("the request's CGI variables take %d bytes, more than max_params allows (%d)", e.size, e.limit)
}

// checkParams checks what the protocol would refuse, while it costs no worker yet.
func (x *exchange) checkParams() error {
	total, err := codecOf(x.b.settings.Load()).Size(&x.request)
	if limit := x.b.cfg.MaxParams; err == nil && total > limit {
		return &paramsError{total, limit}
	}
	return err
}

// send writes the request: all of it in one write where it fits, else its head,
// and the body in a goroutine of its own, so that an early answer is read.
func (x *exchange) send() (err error) {
	inline, whole := x.body.inline()
	x.head, err = x.held.lease.Begin(x.head[:0], &x.request, inline, whole)
	switch {
	case err != nil:
		return notSent(err)
	case whole:
		return nil
	}
	x.held.watch(x.r.Context())
	x.startSender()
	return nil
}

// notSent returns an error in sending the request if that ends the attempt. Mostly the
// answer, or its absence, tells what became of the request.
func notSent(err error) error {
	_, unsendable := errors.AsType[*upstream.RequestError](err)
	if unsendable || errors.Is(err, pool.ErrInterrupted) || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil
}

// inline returns the body if it is small and in memory, so that it can go out
// with the request's head.
func (b *body) inline() ([]byte, bool) {
	if b.length == 0 {
		return nil, true
	}
	if b.buffer == nil || b.length > inlineMax {
		return nil, false
	}
	return b.buffer.Bytes()
}

// sender sends a body in a goroutine of its own, from startSender to stop.
type sender struct {
	stream *clientReader // where the body comes from if it is not spooled
	last   atomic.Bool   // all of it was read, and its last piece is being written
	done   chan struct{}
	ended  time.Time // when it was sent whole, or failed; set before done is closed
	err    error     // why the body was not sent whole; set before done is closed
}

func (x *exchange) startSender() {
	s := &sender{stream: x.body.stream, done: make(chan struct{})}
	x.held.sender = s
	lease, length, from := x.held.lease, x.body.length, x.body.reader()
	go func() {
		defer close(s.done)
		s.err = s.send(lease, from, length)
		s.ended = time.Now()
	}()
}

// sending reports whether the body is still on its way, and since when it is not.
func (s *sender) sending() (bool, time.Time) {
	select {
	case <-s.done:
		return false, s.ended
	default:
		return true, time.Time{}
	}
}

// stop waits for the sender, and cuts it short if it has not finished: the
// answer is complete, or nobody wants it. The lease is closed on its release
// then, because the body was not sent whole.
func (s *sender) stop(lease *pool.Lease) {
	if !s.endsByItself() {
		lease.Interrupt()
		if s.stream != nil {
			s.stream.interrupt()
		}
		<-s.done
	}
}

// finishFor is how long a sender may take with its last piece when the answer is complete.
// An application that has read the piece may have answered before the sender is back from
// writing it, and an application that has not read it may never do so.
const finishFor = 10 * time.Millisecond

// endsByItself reports whether the sender has ended, or ends now that it has nothing left
// but its last piece.
func (s *sender) endsByItself() bool {
	if sending, _ := s.sending(); !sending || !s.last.Load() {
		return !sending
	}
	t := time.NewTimer(finishFor)
	defer t.Stop()
	select {
	case <-s.done:
		return true
	case <-t.C:
		return false
	}
}

// send copies exactly length bytes, then ends the stream. A body that ends early
// leaves the stream open: the application must not take it for complete.
func (s *sender) send(lease *pool.Lease, from io.Reader, length int64) error {
	before, after := lease.BodyOverhead()
	buf := make([]byte, before+sendChunk, before+sendChunk+after)
	for length > 0 {
		n, err := from.Read(buf[before : before+int(min(sendChunk, length))])
		length -= int64(n)
		if n == 0 && err != nil {
			lease.Interrupt() // the application would wait for the rest
			if s.stream == nil {
				return fmt.Errorf("reading the spooled body: %w", err)
			}
			return &clientError{err}
		}
		if n == 0 {
			continue
		}
		if length == 0 {
			s.last.Store(true)
		}
		if err := lease.Body(buf, n, length == 0); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				lease.Interrupt() // it has stopped reading, and will not be sent the rest
			}
			return err
		}
	}
	return nil
}
