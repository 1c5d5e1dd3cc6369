package mux

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge/upstream"
)

const (
	// streamBuffer is how many bytes of an answer wait for the owner of the stream before
	// the reading goroutine does. All but chunkMin are charged (Config.Memory).
	streamBuffer = 64 << 10
	// lagMax is how long the reading goroutine waits for an owner. An owner that reads all
	// the time lacks only the processor, or waits for a disk. One that waits for its client
	// must not stop the other streams.
	lagMax = 250 * time.Millisecond
	// lagRate is how much an owner must take to be waited for as long again, in bytes per
	// second.
	lagRate = 4 << 20
)

// Stream is one request of a Conn. The reading goroutine delivers its events, and its owner
// takes them. Next is called by one goroutine at a time; the other methods may be called at
// the same time as Next. Leave comes last.
type Stream struct {
	c     *Conn
	ID    uint16 // of the request; 0: there was none left
	First bool   // it is the connection's first stream

	// Guarded by c.mu.
	queued  bool // the request was queued
	sent    bool // a write of the request has begun
	aborted bool // the application was asked to stop
	over    bool // the end of the answer has come

	// Of who reads the connection.
	received bool          // there are new events, and the owner was not told yet
	waited   time.Duration // how long it has waited for the owner, less what the owner has taken since

	ready  chan struct{} // wakes the owner
	notify atomic.Pointer[func()]

	mu      sync.Mutex
	pending *chunk        // events that the owner has not taken
	drained chan struct{} // closed when pending is taken; nil unless that is waited for
	endErr  error         // the error of the End event
	err     error         // what Next returns after pending
	left    bool          // the owner has left

	interrupted atomic.Bool

	// Of the owner.
	unrunBelow int
	taken      *chunk // what was pending before
	at         int    // offset of the next event in taken
	total      int64  // bytes that were taken, ever
	timer      *time.Timer
}

// store adds an event to pending. If there is no room for the rest of it, store leaves that in ev and
// returns false; drained is closed when the owner has taken what is pending.
func (s *Stream) store(ev *upstream.Event) (whole bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && !s.left {
		if s.pending == nil {
			s.pending = s.c.newChunk()
		}
		n, whole := s.c.add(s.pending, ev.Kind, ev.Data, streamBuffer)
		s.waited = max(0, s.waited-time.Duration(n)*time.Second/lagRate)
		ev.Data = ev.Data[n:]
		switch {
		case whole:
			s.endErr = ev.Err
			return true
		case n == 0:
			s.drained = make(chan struct{})
			return false
		}
	}
	return true // nobody takes it
}

// isFull reports whether there is no room since store has said so.
func (s *Stream) isFull() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.drained != nil
}

// awaitOwner waits until the owner has taken what is pending.
func (s *Stream) awaitOwner() {
	s.mu.Lock()
	drained := s.drained
	s.mu.Unlock()
	if drained == nil { // it has by now
		return
	}
	s.signal()
	begun := time.Now()
	late := time.NewTimer(lagMax - s.waited)
	select {
	case <-drained:
	case <-late.C:
		if s.isFull() { // else it is this goroutine that is late
			s.fail(ErrLagging)
			s.Abort()
		}
	case <-s.c.ended:
	}
	late.Stop()
	s.waited += time.Since(begun)
}

// Abort asks the application to stop the request.
func (s *Stream) Abort() {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.c.abort(s)
}

// fail has Next return err after the pending events.
func (s *Stream) fail(err error) {
	s.mu.Lock()
	if s.err == nil {
		s.err = err
	}
	s.mu.Unlock()
	s.signal()
}

func (s *Stream) signal() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
	if f := s.notify.Load(); f != nil {
		(*f)()
	}
}

// Notify has f called, in any goroutine, when TryNext may return something; nil: no longer.
func (s *Stream) Notify(f *func()) { s.notify.Store(f) }

// TryNext is Next without a wait: the event's Kind is 0 if nothing has come.
func (s *Stream) TryNext() (none upstream.Event, err error) {
	for s.Clean() {
		if s.interrupted.Load() {
			return none, ErrInterrupted
		}
		if more, err := s.refill(); !more {
			return none, err
		}
	}
	return s.event(), nil
}

// Next returns the next event of the request, which is valid until the next call. It waits
// until deadline, zero: for ever, and then returns os.ErrDeadlineExceeded.
func (s *Stream) Next(deadline time.Time) (none upstream.Event, err error) {
	for s.Clean() {
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
	return s.event(), nil
}

// event returns the next event of what was taken.
func (s *Stream) event() upstream.Event {
	ev, next := s.taken.event(s.at)
	s.at, ev.ID = next, s.ID
	if ev.Kind == upstream.End {
		s.mu.Lock()
		ev.Err = s.endErr
		s.mu.Unlock()
	}
	return ev
}

// Buffered reports whether Next has something to return without waiting.
func (s *Stream) Buffered() bool {
	if !s.Clean() {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending != nil || s.err != nil
}

// refill takes what is pending. What was taken before is not used any more.
func (s *Stream) refill() (more bool, err error) {
	ch, err := s.takePending(false)
	s.c.free(s.taken)
	s.taken, s.at = ch, 0
	if ch == nil {
		return false, err
	}
	s.total += int64(len(ch.b))
	return true, nil
}

// takePending takes what is pending, and wakes who reads the connection if that is waited for.
func (s *Stream) takePending(leave bool) (*chunk, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.pending
	s.pending = nil
	s.left = s.left || leave
	if s.drained != nil {
		close(s.drained)
		s.drained = nil
		if d := s.c.driven.Load(); d != nil {
			d.wake()
		}
	}
	return ch, s.err
}

// await waits for signal until deadline.
func (s *Stream) await(deadline time.Time) error {
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

// Begin says that a request follows; see [upstream.Codec] for unrunBelow.
func (s *Stream) Begin(_ *upstream.Request, unrunBelow int) { s.unrunBelow = unrunBelow }

// Send queues a request, all of it. The writing goroutine has deadlines of its own.
func (s *Stream) Send(request []byte, _ time.Time) error {
	if s.interrupted.Load() {
		return ErrInterrupted
	}
	return s.c.enqueue(s, request)
}

// Interrupt has Send and Next return ErrInterrupted, now and later.
func (s *Stream) Interrupt() {
	s.interrupted.Store(true)
	s.signal()
}

// Resume undoes Interrupt.
func (s *Stream) Resume() { s.interrupted.Store(false) }

// Received is how many bytes of events the owner has taken, ever.
func (s *Stream) Received() int64 { return s.total }

// Clean reports whether Next has returned all events that the owner has taken.
func (s *Stream) Clean() bool { return s.taken == nil || s.at == len(s.taken.b) }

// Unrun reports whether the application cannot have run the request, because it was not
// sent.
func (s *Stream) Unrun() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return !s.sent
}

// Leave ends the use of the stream. Answered says whether the application has ended the
// request.
func (s *Stream) Leave(answered bool) {
	s.c.close(s, answered)
	ch, _ := s.takePending(true)
	s.c.free(ch)
	s.c.free(s.taken)
	s.taken = nil
	if s.timer != nil {
		s.timer.Stop()
	}
}
