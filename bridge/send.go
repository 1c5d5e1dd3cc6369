package bridge

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/fcgi"
	"github.com/sluice-proxy/sluice/bridge/pool"
)

const (
	// sendChunk is how much of a body goes into one STDIN record and one write.
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

// checkParams checks what the wire would refuse, while it costs no worker yet.
func checkParams(vars []cgi.Var, limit int) error {
	total := 0
	for _, v := range vars {
		size := fcgi.PairSize(v.Name, v.Value)
		if size > fcgi.MaxPair {
			return &fcgi.PairTooLargeError{Name: v.Name, Size: size}
		}
		total += size
	}
	if total > limit {
		return &paramsError{total, limit}
	}
	return nil
}

// send writes the request: all of it in one write where it fits, else its head,
// and the body in a goroutine of its own, so that an early answer is read.
func (x *exchange) send() error {
	head, err := x.encodeHead(x.head[:0])
	if err != nil {
		return err
	}
	id := x.held.lease.RequestID()
	inline, whole := x.body.inline()
	if whole {
		head = fcgi.AppendStream(head, fcgi.TypeStdin, id, inline)
		head = fcgi.AppendStreamEnd(head, fcgi.TypeStdin, id)
	}
	x.head = head
	err = x.held.lease.Write(head)
	switch {
	case errors.Is(err, pool.ErrInterrupted), errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case err != nil:
		return nil // the answer, or its absence, tells what became of the request
	case whole:
		x.held.lease.SendDone()
		return nil
	}
	x.held.watch(x.r.Context())
	x.startSender()
	return nil
}

func (x *exchange) encodeHead(dst []byte) ([]byte, error) {
	id := x.held.lease.RequestID()
	begin := fcgi.BeginRequest{Role: fcgi.RoleResponder}
	if x.held.lease.KeepConn() {
		begin.Flags = fcgi.FlagKeepConn
	}
	dst = fcgi.AppendBeginRequest(dst, id, begin)
	params := fcgi.NewParamsWriter(dst, id)
	for _, v := range x.vars {
		if err := params.Add(v.Name, v.Value); err != nil {
			return nil, err
		}
	}
	return params.End(), nil
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
	id := lease.RequestID()
	buf := make([]byte, fcgi.HeaderLen+sendChunk, fcgi.HeaderLen+sendChunk+fcgi.HeaderLen)
	for length > 0 {
		n, err := from.Read(buf[fcgi.HeaderLen : fcgi.HeaderLen+min(sendChunk, length)])
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
		fcgi.AppendHeader(buf[:0], fcgi.StreamHeader(fcgi.TypeStdin, id, n))
		out := buf[:fcgi.HeaderLen+n]
		if length == 0 {
			s.last.Store(true)
			out = fcgi.AppendStreamEnd(out, fcgi.TypeStdin, id)
		}
		if err := lease.Write(out); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				lease.Interrupt() // it has stopped reading, and will not be sent the rest
			}
			return err
		}
	}
	lease.SendDone()
	return nil
}
