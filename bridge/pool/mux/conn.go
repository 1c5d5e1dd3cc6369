package mux

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge/upstream"
)

const (
	// readBuffer is the size of a connection's read buffer, in bytes.
	readBuffer = 64 << 10
	// quarantineMax is how many ids a connection may lose to requests that ended before
	// their answers. Then the connection takes no more requests.
	quarantineMax = 32 << 10
)

var (
	// ErrInterrupted is what Send and Next return after Stream.Interrupt.
	ErrInterrupted = errors.New("pool: interrupted")
	// ErrSendTimeout means that the application read nothing from the connection for
	// Config.SendTimeout.
	ErrSendTimeout = errors.New("pool: the application took nothing of what it was sent for too long")
	// ErrLagging means that the owner of a stream did not take the answer for so long that
	// the other streams would have had to wait.
	ErrLagging = errors.New("pool: the answer was not taken fast enough for a shared connection")
	// ErrNoMemory means that there is no memory for one more request: the application does
	// not read those before it.
	ErrNoMemory = errors.New("pool: no memory for a request on a shared connection; the application does not read those before it")
	errNoIDs    = errors.New("pool: the connection has used up its request ids")
)

// Config says how a Conn works. All fields must be set. The functions may be called from
// any goroutine that uses the Conn, and without its mutex.
type Config struct {
	Codec       upstream.Multiplexer
	Memory      Memory
	SendTimeout func() time.Duration // how long one write may take; 0: any time
	// Recheck is called after Conn.Recheck if nothing has been read from the connection.
	// An error ends the connection.
	Recheck func() error
	Retire  func() // called once, when the connection should take no more requests
	Lost    func() // called when the connection ends by itself, before its streams fail
	// Loop is an event loop that drives the connection, if that is a socket. Nil: two goroutines do.
	Loop   Loop
	Serial uint64 // of the connection, for the loop

	direct func(net.Conn) direct // replaced in tests
}

// Conn is a connection that carries several requests. Its methods may be called
// concurrently.
type Conn struct {
	nc  net.Conn
	cfg Config

	wake   chan struct{} // out is not empty
	ended  chan struct{} // closed when err is set
	loops  sync.WaitGroup
	driven atomic.Pointer[driven] // by an event loop; nil: by two goroutines

	chunks   sync.Pool // of *chunk, up to chunkSmall bytes
	large    sync.Pool // of *chunk, of streamBuffer bytes
	received []*Stream // of the reading goroutine: streams with new events, whose owners were not told yet

	mu      sync.Mutex
	err     error // why the connection ended
	sendErr error // why nothing can be sent any more; set together with err or before
	ids     ids
	streams map[uint16]*Stream
	out     []byte  // bytes to write
	starts  []start // where requests begin in out
	waiting int     // bytes of requests in out or in the current write
	charged int     // how many of these are charged
	retired bool
}

// New returns a Conn for nc. In holds what has been read from nc already.
func New(nc net.Conn, in upstream.Buffer, cfg Config) *Conn {
	c := &Conn{
		nc: nc, cfg: cfg,
		wake: make(chan struct{}, 1), ended: make(chan struct{}),
		streams: make(map[uint16]*Stream),
	}
	if cfg.Loop == nil || !c.attend(in) {
		c.start(in, held{})
	}
	return c
}

// start begins to drive the connection with goroutines. First is what was read before, and not
// delivered.
func (c *Conn) start(in upstream.Buffer, first held) {
	c.loops.Go(c.write)
	c.loops.Go(func() {
		if first.stream != nil {
			c.deliver(first.stream, first.event)
			first.stream.signal()
		}
		c.read(in)
	})
}

// Open returns a stream for one request. If the connection has ended, the stream's methods
// return the reason.
func (c *Conn) Open() *Stream {
	c.mu.Lock()
	s := &Stream{c: c, First: c.ids.issued == 0, ready: make(chan struct{}, 1)}
	id, ok := c.ids.take()
	switch {
	case c.sendErr != nil:
		s.err = c.sendErr
	case !ok:
		s.err = errNoIDs
	default:
		s.ID = id
		c.streams[id] = s
	}
	full := !ok && c.startRetiring()
	c.mu.Unlock()
	if full {
		c.cfg.Retire()
	}
	return s
}

// close ends a stream. If the application has not ended the request, the application is
// asked to, and the id is not used again. The same holds for a request that was aborted:
// Go's net/http/fcgi ends it at once, and sends the output of the handler and a second end
// when the handler returns.
func (c *Conn) close(s *Stream, answered bool) {
	c.mu.Lock()
	delete(c.streams, s.ID)
	switch {
	case s.ID == 0:
	case answered && !s.aborted, !s.queued:
		c.ids.put(s.ID)
	default:
		c.ids.quarantine(s.ID)
		c.abort(s)
	}
	worn := len(c.ids.quarantined) >= quarantineMax && c.startRetiring()
	c.mu.Unlock()
	if worn {
		c.cfg.Retire()
	}
}

// startRetiring returns true once. The caller, which holds the mutex, calls cfg.Retire
// after releasing it.
func (c *Conn) startRetiring() bool {
	first := !c.retired
	c.retired = true
	return first
}

// read hands out events until the connection ends.
func (c *Conn) read(in upstream.Buffer) {
	in.Grow(readBuffer)
	for {
		err := c.dispatch(&in)
		if err == nil {
			var n int
			n, err = c.nc.Read(in.Space())
			in.Filled(n)
			switch {
			case n > 0:
				err = nil // the next read returns it again
			case errors.Is(err, os.ErrDeadlineExceeded): // only Recheck sets a deadline
				err = c.recheck(in.Received() > 0)
			}
		}
		if err != nil {
			c.end(err, c.cfg.Lost)
			return
		}
	}
}

// Recheck has who reads look again whether the connection is in order.
func (c *Conn) Recheck() {
	if d := c.driven.Load(); d != nil {
		d.rechecks.Store(true)
		d.wake()
		return
	}
	_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // fails only if the connection is closed already
}

func (c *Conn) recheck(received bool) error {
	if !received {
		if err := c.cfg.Recheck(); err != nil {
			return err
		}
	}
	return c.nc.SetReadDeadline(time.Time{})
}

// dispatch stores the events that have come in their streams. Its error means that the
// connection cannot be used any more.
func (c *Conn) dispatch(in *upstream.Buffer) error {
	defer c.signalReceived()
	for {
		ev, err := in.Next()
		switch {
		case err != nil, ev.Kind == 0:
			return err
		case ev.Kind == upstream.Reply:
			continue // Go's net/http/fcgi replies twice, other servers late
		}
		s, err := c.streamOf(&ev)
		switch {
		case err != nil:
			return err
		case s == nil:
			continue
		case !s.received:
			s.received = true
			c.received = append(c.received, s)
		}
		if !c.deliver(s, ev) {
			return nil
		}
	}
}

// deliver stores an event in its stream. If there is no room, it waits for the owner to take what is
// pending; an owner that does not take it in time loses the rest of the answer. An event loop cannot
// wait: it holds the event, and deliver returns false.
func (c *Conn) deliver(s *Stream, ev upstream.Event) bool {
	for !s.store(&ev) {
		if d := c.driven.Load(); d != nil {
			d.hold(s, ev)
			return false
		}
		s.awaitOwner()
	}
	return true
}

// signalReceived wakes the owners of the streams that have new events.
func (c *Conn) signalReceived() {
	for _, s := range c.received {
		s.received = false
		s.signal()
	}
	clear(c.received)
	c.received = c.received[:0]
}

// streamOf returns the stream of an event. It returns nil if the request is over: an
// application may end an aborted request twice, or go on with it. Then the id is not used
// again.
func (c *Conn) streamOf(ev *upstream.Event) (*Stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[ev.ID]
	switch {
	case s != nil && !s.over:
		s.over = ev.Kind == upstream.End
		return s, nil
	case s == nil && !c.ids.known(ev.ID):
		return nil, &upstream.FormatError{Err: fmt.Errorf("pool: %v for request id %d, which no request has had", ev.Kind, ev.ID)}
	}
	c.ids.quarantine(ev.ID)
	return nil, nil
}

// end ends the connection with an error, unless it has ended. It calls notify before the
// streams fail: their owners must not get the same connection again.
func (c *Conn) end(err error, notify func()) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	if c.sendErr == nil {
		c.sendErr = err
	}
	close(c.ended)
	streams := c.streams
	c.streams = make(map[uint16]*Stream)
	d := c.driven.Load()
	if d != nil {
		c.chargeOut(-c.waiting) // a goroutine that writes does that itself
	}
	c.mu.Unlock()
	_ = c.nc.Close() // nobody uses the connection any more
	if d != nil {
		d.wake()
	}
	notify()
	for _, s := range streams {
		s.fail(err)
	}
}

// Cut ends the connection with an error for all its streams, and does not wait.
func (c *Conn) Cut(err error) { c.end(err, c.cfg.Lost) }

// Close ends the connection and waits for its goroutines, or for the event loop to be done with it.
// It does not call Lost.
func (c *Conn) Close() {
	c.end(net.ErrClosed, func() {})
	c.loops.Wait()
	if d := c.driven.Load(); d != nil {
		d.awaitStep()
	}
}
