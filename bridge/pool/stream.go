package pool

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge/upstream"
)

const (
	// streamBuffer is how much of an answer waits in a stream for its owner, in bytes,
	// before the connection's reader does. Most of it is charged (Config.Memory).
	streamBuffer = 64 << 10
	// lagMax is how long the reader waits for an owner. One that reads all the time only
	// ever lacks the processor, or waits for a disk; one that waits for its client must
	// not stop the others.
	lagMax = 250 * time.Millisecond
	// lagRate is how much an owner must take to be waited for as long again, in bytes
	// per second.
	lagRate = 4 << 20
)

var errNoIDs = errors.New("pool: the connection has used up its request ids")

// stream is one request's part of a multiplexed connection. The connection's reader
// delivers events to it; its owner takes them.
type stream struct {
	m     *mux
	id    uint16 // 0 if it got none
	first bool   // it is the connection's first

	// Guarded by m.mu.
	queued  bool // the request is on its way
	sent    bool // a write of it has begun
	aborted bool
	over    bool // the end of the answer has come

	// The reader's.
	touched bool          // it has delivered something and not said so
	waited  time.Duration // how long it has waited for the owner, less what that has taken since

	ready chan struct{} // something has changed for the owner

	mu      sync.Mutex
	pending *chunk        // what has come and was not taken
	drained chan struct{} // closed when pending is taken; nil unless the reader waits for it
	endErr  error         // the error of the End that has come
	err     error         // what follows after it
	gone    bool          // the owner has left

	interrupted atomic.Bool

	// The owner's.
	unrunBelow int
	taken      *chunk // what was pending before
	at         int    // where in it the next event begins
	total      int64  // how much was pending, ever
	timer      *time.Timer
}

// deliver adds to what the owner may take. If there is much already, or no memory for
// more, it waits, for a moment, for the owner to take that. An owner that takes nothing
// loses the rest of the answer.
func (s *stream) deliver(ev upstream.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && !s.gone {
		if s.pending == nil {
			s.pending = s.m.newChunk()
		}
		n, whole := s.m.add(s.pending, ev.Kind, ev.Data, streamBuffer)
		s.waited = max(0, s.waited-time.Duration(n)*time.Second/lagRate)
		ev.Data = ev.Data[n:]
		switch {
		case whole:
			s.endErr = ev.Err
			return
		case n == 0:
			s.awaitOwner()
		}
	}
}

// awaitOwner waits until the owner has taken what there is.
func (s *stream) awaitOwner() {
	drained := make(chan struct{})
	s.drained = drained
	s.mu.Unlock()
	s.signal()
	begun := time.Now()
	late := time.NewTimer(lagMax - s.waited)
	select {
	case <-drained:
	case <-late.C:
		s.lag()
	case <-s.m.ended:
	}
	late.Stop()
	s.waited += time.Since(begun)
	s.mu.Lock()
}

// lag gives the stream up because its owner does not take what comes.
func (s *stream) lag() {
	s.fail(ErrLagging)
	s.abort()
}

func (s *stream) abort() {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	s.m.abort(s)
}

// fail ends what the owner can take.
func (s *stream) fail(err error) {
	s.mu.Lock()
	if s.err == nil {
		s.err = err
	}
	s.mu.Unlock()
	s.signal()
}

func (s *stream) signal() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// next returns the next event of the request.
func (s *stream) next(deadline time.Time) (none upstream.Event, err error) {
	for s.clean() {
		if s.interrupted.Load() {
			return none, ErrInterrupted
		}
		more, err := s.refill()
		switch {
		case more:
		case err != nil:
			return none, err
		default:
			if err := s.await(deadline); err != nil {
				return none, err
			}
		}
	}
	ev, next := s.taken.event(s.at)
	s.at, ev.ID = next, s.id
	if ev.Kind == upstream.End {
		s.mu.Lock()
		ev.Err = s.endErr
		s.mu.Unlock()
	}
	return ev, nil
}

// refill takes what is pending. All that was taken before is done with.
func (s *stream) refill() (more bool, err error) {
	s.mu.Lock()
	c := s.pending
	s.pending = nil
	if s.drained != nil {
		close(s.drained)
		s.drained = nil
	}
	err = s.err
	s.mu.Unlock()
	s.m.free(s.taken)
	s.taken, s.at = c, 0
	if c == nil {
		return false, err
	}
	s.total += int64(len(c.b))
	return true, nil
}

// await waits for something to change, until deadline.
func (s *stream) await(deadline time.Time) error {
	if deadline.IsZero() {
		<-s.ready
		return nil
	}
	left := time.Until(deadline)
	if left <= 0 {
		return os.ErrDeadlineExceeded
	}
	if s.timer == nil {
		s.timer = time.NewTimer(left)
	} else {
		s.timer.Reset(left)
	}
	select {
	case <-s.ready:
		s.timer.Stop()
		return nil
	case <-s.timer.C:
		return os.ErrDeadlineExceeded
	}
}

func (s *stream) begin(_ *upstream.Request, unrunBelow int) { s.unrunBelow = unrunBelow }

// write queues bytes; they leave with others'. A stream's request is one write.
func (s *stream) write(b []byte, _ time.Time) error {
	if s.interrupted.Load() {
		return ErrInterrupted
	}
	return s.m.enqueue(s, b)
}

func (s *stream) interrupt() {
	s.interrupted.Store(true)
	s.signal()
}

func (s *stream) resume() { s.interrupted.Store(false) }

func (s *stream) received() int64 { return s.total }

// clean reports whether nothing is left of what the owner has taken.
func (s *stream) clean() bool { return s.taken == nil || s.at == len(s.taken.b) }

func (s *stream) unrun() bool {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	return !s.sent
}

func (s *stream) leave(answered bool) {
	s.m.close(s, answered)
	s.mu.Lock()
	s.gone = true
	c := s.pending
	s.pending = nil
	if s.drained != nil {
		close(s.drained)
		s.drained = nil
	}
	s.mu.Unlock()
	s.m.free(c)
	s.m.free(s.taken)
	s.taken = nil
	if s.timer != nil {
		s.timer.Stop()
	}
}
