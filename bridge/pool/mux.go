package pool

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge/upstream"
)

const (
	// muxBuffer is the size of a multiplexed connection's read buffer, in bytes.
	muxBuffer = 64 << 10
	// flushMax is how much of what is queued has the send timeout to itself, in bytes.
	flushMax = 256 << 10
	// quarantineMax is how many ids a connection may lose to requests that were given
	// up. Then it is replaced.
	quarantineMax = 32 << 10
)

// mux is a connection that carries many requests at once, each as a stream. One
// goroutine writes what streams have queued, all of it in one write, another reads
// and hands each event to its stream. Neither ever waits for a stream's owner, but
// for a moment (see stream.deliver).
//
// It ends once, with the first error that is not just one stream's. The streams
// learn of it in what they read.
type mux struct {
	nc          net.Conn
	codec       upstream.Multiplexer
	memory      Memory               // what waits for streams' owners, or to be sent, is charged to
	sendTimeout func() time.Duration // how long a write may take now; 0: as long as it likes
	retire      func()               // tells the pool that no more requests should come
	lost        func()               // tells the pool that it has ended, though nobody asked for that

	wake  chan struct{} // something is queued
	ended chan struct{} // closed when err is set
	loops sync.WaitGroup

	chunks  sync.Pool // of *chunk
	touched []*stream // the reader's: they have got something, and were not told

	mu      sync.Mutex
	err     error // why it ended
	deaf    error // why nothing can be sent any more; set with err or before
	ids     ids
	streams map[uint16]*stream
	out     []byte    // what is queued
	waiting int       // how much of requests is queued, or being written
	charged int       // for that
	starts  []starter // where requests begin in out
	retired bool
}

// starter is a stream whose request begins at an offset of what is written.
type starter struct {
	s  *stream
	at int
}

// newMux returns a mux of a connection of which in was read already.
func newMux(nc net.Conn, codec upstream.Multiplexer, in input, memory Memory, sendTimeout func() time.Duration, retire, lost func()) *mux {
	m := &mux{
		nc: nc, codec: codec, memory: memory, sendTimeout: sendTimeout, retire: retire, lost: lost,
		wake: make(chan struct{}, 1), ended: make(chan struct{}),
		streams: make(map[uint16]*stream),
	}
	m.loops.Go(m.write)
	m.loops.Go(func() { m.read(in) })
	return m
}

// open returns a stream for one request. On a connection that has ended it says so
// when it is used.
func (m *mux) open() *stream {
	m.mu.Lock()
	s := &stream{m: m, first: m.ids.issued == 0, ready: make(chan struct{}, 1)}
	id, ok := m.ids.take()
	switch {
	case m.deaf != nil:
		s.err = m.deaf
	case !ok:
		s.err = errNoIDs
	default:
		s.id = id
		m.streams[id] = s
	}
	full := !ok && m.needsRetiring()
	m.mu.Unlock()
	if full {
		m.retire()
	}
	return s
}

// close ends a stream. Unless the application has ended the request, it is asked to,
// and the id is not used again. Nor is it if the application was asked to before:
// Go's net/http/fcgi ends the request at once, and sends the handler's output and a
// second end when that comes.
func (m *mux) close(s *stream, answered bool) {
	m.mu.Lock()
	delete(m.streams, s.id)
	switch {
	case s.id == 0:
	case answered && !s.aborted, !s.queued:
		m.ids.put(s.id)
	default:
		m.ids.quarantine(s.id)
		m.abort(s)
	}
	worn := len(m.ids.quarantined) >= quarantineMax && m.needsRetiring()
	m.mu.Unlock()
	if worn {
		m.retire()
	}
}

// needsRetiring reports true once. The caller calls retire, without the mutex.
func (m *mux) needsRetiring() bool {
	first := !m.retired
	m.retired = true
	return first
}

// enqueue queues a request whole. If it cannot be, its stream ends.
func (m *mux) enqueue(s *stream, request []byte) error {
	err := m.tryEnqueue(s, request)
	if err != nil {
		s.fail(err)
	}
	return err
}

func (m *mux) tryEnqueue(s *stream, request []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.deaf != nil:
		return m.deaf
	case s.id == 0:
		return errNoIDs
	case !m.chargeOut(len(request)):
		return ErrNoMemory
	}
	if !s.queued {
		s.queued = true
		m.starts = append(m.starts, starter{s, len(m.out)})
	}
	m.out = append(m.out, request...)
	m.signal()
	return nil
}

// abort asks the application to stop, once, if the application has the request and has
// not ended it. The caller holds the mutex.
func (m *mux) abort(s *stream) {
	if m.deaf != nil || s.aborted || !s.queued || s.over {
		return
	}
	s.aborted = true
	m.out = m.codec.AppendAbort(m.out, s.id)
	m.signal()
}

func (m *mux) signal() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// write sends what is queued until the connection ends.
func (m *mux) write() {
	var out []byte
	var starts []starter
	defer m.forgetOut()
	for {
		select {
		case <-m.wake:
		case <-m.ended:
			return
		}
		runtime.Gosched() // those who are about to queue something go along
		m.mu.Lock()
		out, m.out = m.out, out[:0]
		starts, m.starts = m.starts, starts[:0]
		writing := m.waiting
		for _, st := range starts {
			st.s.sent = true
		}
		m.mu.Unlock()
		if len(out) == 0 {
			continue
		}
		n, err := m.flush(out)
		if err != nil {
			m.cut(starts, n, err)
			return
		}
		m.mu.Lock()
		m.chargeOut(-writing)
		m.mu.Unlock()
		clear(starts)
		if cap(out) > muxBuffer {
			out = nil
		}
	}
}

// forgetOut gives back what is charged for requests that will not be sent any more.
func (m *mux) forgetOut() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.chargeOut(-m.waiting)
}

func (m *mux) flush(out []byte) (int, error) {
	sent := 0
	for sent < len(out) {
		if err := m.nc.SetWriteDeadline(m.writeDeadline()); err != nil {
			return sent, err
		}
		n, err := m.nc.Write(out[sent:min(sent+flushMax, len(out))])
		sent += n
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

func (m *mux) writeDeadline() (none time.Time) {
	if d := m.sendTimeout(); d > 0 {
		return time.Now().Add(d)
	}
	return none
}

// cut ends the sending side after n bytes of the last write. Requests that were not
// begun by then fail now; the application may still answer the others.
func (m *mux) cut(starts []starter, n int, err error) {
	stuck := isTimeout(err)
	if stuck {
		err = ErrSendTimeout // a stream's owner must not take it for its own
	}
	m.mu.Lock()
	if m.err != nil {
		err = m.err // why it was closed while it was written to
	}
	var lost []*stream
	for _, st := range starts {
		if n <= st.at+st.s.unrunBelow {
			st.s.sent = false
			lost = append(lost, st.s)
		}
	}
	for _, st := range m.starts {
		lost = append(lost, st.s)
	}
	m.deaf, m.out, m.starts = err, nil, nil
	needs := m.needsRetiring()
	m.mu.Unlock()
	if needs {
		m.retire()
	}
	for _, s := range lost {
		s.fail(err)
	}
	if stuck {
		m.end(err, m.lost) // it has stopped reading, and is not waited for
	}
}

// read hands out what comes until the connection ends.
func (m *mux) read(in input) {
	in.buf = append(make([]byte, 0, muxBuffer), in.buf[in.r:in.w]...)[:muxBuffer]
	in.r, in.w = 0, in.w-in.r
	for heard := in.w > 0; ; {
		err := m.route(&in)
		if err == nil {
			var n int
			n, err = m.nc.Read(in.space())
			in.filled(n)
			heard = heard || n > 0
			switch {
			case n > 0:
				err = nil // it comes again
			case errors.Is(err, os.ErrDeadlineExceeded): // only doubt sets one
				err = m.recheck(heard)
			}
		}
		if err != nil {
			m.end(err, m.lost)
			return
		}
	}
}

// route hands what has come to its streams. Its error means that the connection makes no
// sense any more.
func (m *mux) route(in *input) error {
	defer m.signalTouched()
	for {
		ev, err := in.take()
		switch {
		case err != nil, ev.Kind == 0:
			return err
		case ev.Kind == upstream.Reply:
			continue // Go's server answers twice, others late
		}
		s, err := m.streamOf(&ev)
		switch {
		case err != nil:
			return err
		case s == nil:
			continue
		case !s.touched:
			s.touched = true
			m.touched = append(m.touched, s)
		}
		s.deliver(ev)
	}
}

// signalTouched tells the owners of streams that have got something.
func (m *mux) signalTouched() {
	for _, s := range m.touched {
		s.touched = false
		s.signal()
	}
	clear(m.touched)
	m.touched = m.touched[:0]
}

// streamOf returns the stream that an event is for, nil if its request is over: an
// application may end a request twice that it was asked to abort, or go on with it.
// Such an id is not used again.
func (m *mux) streamOf(ev *upstream.Event) (*stream, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.streams[ev.ID]
	switch {
	case s != nil && !s.over:
		s.over = ev.Kind == upstream.End
		return s, nil
	case s == nil && !m.ids.known(ev.ID):
		return nil, &upstream.FormatError{Err: fmt.Errorf("pool: %v for request id %d, which no request has had", ev.Kind, ev.ID)}
	}
	m.ids.quarantine(ev.ID)
	return nil, nil
}

// end ends the connection for all its streams, unless it has ended. The pool is told
// first, if it is to be: what a stream's owner does next must not meet it again.
func (m *mux) end(err error, tell func()) {
	m.mu.Lock()
	if m.err != nil {
		m.mu.Unlock()
		return
	}
	m.err = err
	if m.deaf == nil {
		m.deaf = err
	}
	close(m.ended)
	streams := m.streams
	m.streams = make(map[uint16]*stream)
	m.mu.Unlock()
	_ = m.nc.Close() // the connection is done with; nothing can be learned here
	tell()
	for _, s := range streams {
		s.fail(err)
	}
}

// shutdown ends the connection and waits for its goroutines.
func (m *mux) shutdown() {
	m.end(net.ErrClosed, func() {})
	m.loops.Wait()
}
