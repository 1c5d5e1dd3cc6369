package mux

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/socket"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// Loop is an event loop that drives connections in the place of goroutines: all requests of one turn are
// sent in one write, and nobody has to be woken to read their answers.
type Loop interface {
	// Post has f called in the loop, soon. It may be called in any goroutine, and must not wait. It
	// returns false if the loop has ended.
	Post(f func()) bool
	// Watch, which is called in the loop, has c.Ready called there for the events of a descriptor from
	// now on: that there is something to read or, if room is true, room to write. When the loop ends,
	// it calls c.Release. Later calls change room.
	Watch(c *Conn, fd int, room bool) error
	// Forget ends Watch. It is called in the loop.
	Forget(c *Conn)
}

// driven is what an event loop needs to drive a connection. What is not guarded belongs to the loop.
type driven struct {
	c      *Conn
	loop   Loop
	direct direct
	steps  func() // made once

	stepping sync.Mutex // held during a step; Close waits for it
	in       upstream.Buffer
	more     bool // there may be something to read
	ending   bool // there may be the end, or an error, after it
	held     held

	out       []byte // is being written
	written   int    // of out
	starts    []start
	charge    int  // of c.waiting, for out
	full      bool // the socket has no room
	stuck     *time.Timer
	stuckLong atomic.Bool // for Config.SendTimeout

	told     bool        // wake was called for c.out; guarded by c.mu
	rechecks atomic.Bool // Conn.Recheck was called
}

// direct reads and writes without waiting; see socket.Direct.
type direct interface {
	Read(b []byte) (int, error)
	Write(b []byte) (int, error)
	Control(f func(fd uintptr)) error
}

// directOf returns what reads and writes nc directly, nil if nothing does.
func (c *Conn) directOf() direct {
	if c.cfg.direct != nil {
		return c.cfg.direct(c.nc)
	}
	if d := socket.NewDirect(c.nc); d != nil {
		return d
	}
	return nil
}

// held is an event for which its stream has no room.
type held struct {
	stream *Stream
	event  upstream.Event
	since  time.Time
	late   *time.Timer // cuts the answer
}

// stepReads is how many times a connection is read in a step, before others have their turn.
const stepReads = 8

// attend has the loop drive the connection, if it can.
func (c *Conn) attend(in upstream.Buffer) bool {
	direct := c.directOf()
	if direct == nil {
		return false
	}
	in.Grow(readBuffer)
	d := &driven{c: c, loop: c.cfg.Loop, direct: direct, in: in, more: true}
	d.steps = d.step
	c.driven.Store(d)
	ok := d.loop.Post(func() {
		d.watch(false)
		d.step()
	})
	if !ok {
		c.driven.Store(nil)
	}
	return ok
}

// Serial is Config.Serial.
func (c *Conn) Serial() uint64 { return c.cfg.Serial }

// wake has step called soon. If the loop has ended, Release does what is to be done.
func (d *driven) wake() { d.loop.Post(d.steps) }

func (d *driven) watch(room bool) {
	var failed error
	err := d.direct.Control(func(fd uintptr) { failed = d.loop.Watch(d.c, int(fd), room) })
	if err = errors.Join(err, failed); err != nil {
		d.c.Cut(err)
	}
}

// Ready takes the events of the socket: that it can be read, that its end or an error follows, and that
// there is room to write. It is called in the loop.
func (c *Conn) Ready(readable, ending, writable bool) {
	d := c.driven.Load()
	d.more, d.ending = d.more || readable || ending, d.ending || ending
	if writable && d.full {
		d.full = false
		d.stopTimer()
		d.watch(false)
	}
	d.step()
}

// step does what can be done without waiting.
func (d *driven) step() {
	d.stepping.Lock()
	defer d.stepping.Unlock()
	c := d.c
	if c.driven.Load() != d { // it was released
		return
	}
	if d.rechecks.Swap(false) && d.in.Received() == 0 {
		if err := c.cfg.Recheck(); err != nil {
			c.end(err, c.cfg.Lost)
		}
	}
	if err := d.receive(); err != nil {
		c.end(err, c.cfg.Lost)
	}
	d.send()
	if c.hasEnded() {
		d.stopTimers()
		d.loop.Forget(c)
	}
}

// awaitStep waits for a step that has begun.
func (d *driven) awaitStep() {
	d.stepping.Lock()
	defer d.stepping.Unlock()
}

func (d *driven) stopTimers() {
	if d.held.late != nil {
		d.held.late.Stop()
	}
	d.stopTimer()
}

func (d *driven) stopTimer() {
	if d.stuck != nil {
		d.stuck.Stop()
	}
}

func (c *Conn) hasEnded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err != nil
}

// receive reads, and hands out events.
func (d *driven) receive() error {
	for range stepReads {
		if d.c.hasEnded() {
			return nil
		}
		if d.held.stream != nil && !d.release() {
			return nil
		}
		if err := d.c.dispatch(&d.in); err != nil || d.held.stream != nil || !d.more {
			return err
		}
		space := d.in.Space()
		n, err := d.direct.Read(space)
		d.in.Filled(n)
		d.more = n == len(space) || n > 0 && d.ending
		if n == 0 {
			if err == syscall.EAGAIN {
				return nil
			}
			return err
		}
	}
	d.wake()
	return nil
}

// hold keeps an event for which its stream has no room. An owner that is the loop's as well has its turn
// before the answer is cut, however late the loop is.
func (d *driven) hold(s *Stream, ev upstream.Event) {
	d.held = held{stream: s, event: ev, since: time.Now(), late: time.AfterFunc(lagMax-s.waited, func() {
		d.loop.Post(func() { d.lags(s) })
	})}
}

// lags cuts the answer of a stream that there was no room in for too long.
func (d *driven) lags(s *Stream) {
	d.stepping.Lock()
	h := d.held
	cut := d.c.driven.Load() == d && h.stream == s && s.waited+time.Since(h.since) >= lagMax && s.isFull()
	d.stepping.Unlock()
	if cut {
		s.fail(ErrLagging)
		s.Abort()
	}
	d.step()
}

// release stores the event that is held, and reports whether there was room for all of it.
func (d *driven) release() bool {
	h := d.held
	s := h.stream
	h.late.Stop()
	s.waited = min(s.waited+time.Since(h.since), lagMax)
	d.held = held{}
	whole := s.store(&h.event)
	if !whole {
		d.hold(s, h.event)
	}
	s.signal()
	return whole
}

// send writes what there is to write, as far as there is room.
func (d *driven) send() {
	if d.full {
		if d.stuckLong.Load() {
			d.fail(os.ErrDeadlineExceeded)
		}
		return
	}
	for d.written < len(d.out) || d.next() {
		n, err := d.direct.Write(d.out[d.written:min(d.written+writeMax, len(d.out))])
		d.written += n
		switch {
		case err == syscall.EAGAIN:
			d.full = true
			d.watch(true)
			d.stuckLong.Store(false)
			if limit := d.c.cfg.SendTimeout(); limit > 0 {
				d.stuck = time.AfterFunc(limit, func() {
					d.stuckLong.Store(true)
					d.wake()
				})
			}
			return
		case err != nil:
			d.fail(err)
			return
		}
	}
}

// fail ends the sending.
func (d *driven) fail(err error) {
	d.c.endSending(d.starts, d.written, err)
	d.c.releaseOut()
	d.out, d.starts, d.written, d.full = nil, nil, 0, false
}

// next takes what was queued since the last write, and reports whether there is something.
func (d *driven) next() bool {
	c := d.c
	c.mu.Lock()
	defer c.mu.Unlock()
	d.told = false
	if c.sendErr != nil {
		return false
	}
	c.chargeOut(-d.charge)
	if cap(d.out) > readBuffer {
		d.out = nil
	}
	clear(d.starts)
	d.out, c.out = c.out, d.out[:0]
	d.starts, c.starts = c.starts, d.starts[:0]
	d.written, d.charge = 0, c.waiting
	for _, st := range d.starts {
		st.s.sent = true
	}
	return len(d.out) > 0
}

// Release ends the driving by the loop, which has ended: goroutines go on.
func (c *Conn) Release() {
	d := c.driven.Load()
	d.stepping.Lock()
	defer d.stepping.Unlock()
	d.stopTimers()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.driven.Store(nil)
	if c.err != nil {
		return
	}
	for i := range d.starts { // begun, or not
		d.starts[i].at -= d.written
	}
	left := d.out[d.written:]
	for i := range c.starts {
		c.starts[i].at += len(left)
	}
	c.out, c.starts = append(left, c.out...), append(d.starts, c.starts...)
	c.signalOut()
	c.start(d.in, d.held)
}
