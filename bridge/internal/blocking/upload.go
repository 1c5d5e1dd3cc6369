package blocking

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge/pool"
)

// SendChunk is how much of a body goes into one write, in bytes.
const SendChunk = 32 << 10

// sender sends a body in a goroutine of its own, from startSender to stop.
type sender struct {
	stream *clientReader // where the body comes from if it is not spooled
	last   atomic.Bool   // all of it was read, and its last piece is being written
	done   chan struct{}
	ended  time.Time // when it was sent whole, or failed; set before done is closed
	err    error     // why the body was not sent whole; set before done is closed
}

func startSender(lease *pool.Lease, b *body, buffers *sync.Pool) *sender {
	s := &sender{stream: b.stream, done: make(chan struct{})}
	length, from := b.length, b.reader()
	go func() {
		defer close(s.done)
		s.err = s.send(lease, from, length, buffers)
		s.ended = time.Now()
	}()
	return s
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
func (s *sender) send(lease *pool.Lease, from io.Reader, length int64, buffers *sync.Pool) error {
	before, after := lease.BodyOverhead()
	memory, ok := buffers.Get().(*[]byte)
	if !ok || cap(*memory) < before+SendChunk+after {
		b := make([]byte, before+SendChunk+after)
		memory = &b
	}
	defer buffers.Put(memory)
	buf := (*memory)[:before+SendChunk]
	for length > 0 {
		n, err := from.Read(buf[before : before+int(min(SendChunk, length))])
		length -= int64(n)
		if n == 0 && err != nil {
			lease.Interrupt() // the application would wait for the rest
			if s.stream == nil {
				return fmt.Errorf("reading the spooled body: %w", err)
			}
			return clientError(err)
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
