package mux

import (
	"errors"
	"os"
	"runtime"
	"time"
)

// writeMax is the most bytes of one write, which has SendTimeout.
const writeMax = 256 << 10

// start is where the request of a stream begins, as an offset in what is written.
type start struct {
	s  *Stream
	at int
}

// enqueue queues a whole request. An error ends the stream, too.
func (c *Conn) enqueue(s *Stream, request []byte) error {
	err := c.tryEnqueue(s, request)
	if err != nil {
		s.fail(err)
	}
	return err
}

func (c *Conn) tryEnqueue(s *Stream, request []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.sendErr != nil:
		return c.sendErr
	case s.ID == 0:
		return errNoIDs
	case !c.chargeOut(len(request)):
		return ErrNoMemory
	}
	if !s.queued {
		s.queued = true
		c.starts = append(c.starts, start{s, len(c.out)})
	}
	c.out = append(c.out, request...)
	c.signalOut()
	return nil
}

// abort asks the application to stop a request, once, if the application was sent the
// request and has not ended it. The caller holds the mutex.
func (c *Conn) abort(s *Stream) {
	if c.sendErr != nil || s.aborted || !s.queued || s.over {
		return
	}
	s.aborted = true
	c.out = c.cfg.Codec.AppendAbort(c.out, s.ID)
	c.signalOut()
}

// signalOut says that there is something to write. The caller holds the mutex.
func (c *Conn) signalOut() {
	if d := c.driven.Load(); d != nil {
		if !d.told {
			d.told = true
			d.wake()
		}
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// write writes what is queued until the connection ends.
func (c *Conn) write() {
	var out []byte
	var starts []start
	defer c.releaseOut()
	for {
		select {
		case <-c.wake:
		case <-c.ended:
			return
		}
		runtime.Gosched() // streams that are about to queue something share the write
		c.mu.Lock()
		out, c.out = c.out, out[:0]
		starts, c.starts = c.starts, starts[:0]
		writing := c.waiting
		for _, st := range starts {
			st.s.sent = true
		}
		c.mu.Unlock()
		if len(out) == 0 {
			continue
		}
		n, err := c.flush(out)
		if err != nil {
			c.endSending(starts, n, err)
			return
		}
		c.mu.Lock()
		c.chargeOut(-writing)
		c.mu.Unlock()
		clear(starts)
		if cap(out) > readBuffer {
			out = nil
		}
	}
}

// flush writes all of out, and returns how many bytes were written.
func (c *Conn) flush(out []byte) (sent int, err error) {
	for sent < len(out) {
		var deadline time.Time
		if d := c.cfg.SendTimeout(); d > 0 {
			deadline = time.Now().Add(d)
		}
		if err := c.nc.SetWriteDeadline(deadline); err != nil {
			return sent, err
		}
		n, err := c.nc.Write(out[sent:min(sent+writeMax, len(out))])
		sent += n
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// endSending ends the sending side after n bytes of the last write. Requests that the
// application cannot have run fail now. It may still answer the others.
func (c *Conn) endSending(starts []start, n int, err error) {
	stuck := isTimeout(err)
	if stuck {
		err = ErrSendTimeout // the owner of a stream must not take it for a timeout of its own
	}
	c.mu.Lock()
	if c.err != nil {
		err = c.err // the connection was closed during the write
	}
	var unrun []*Stream
	for _, st := range starts {
		if n <= st.at+st.s.unrunBelow {
			st.s.sent = false
			unrun = append(unrun, st.s)
		}
	}
	for _, st := range c.starts {
		unrun = append(unrun, st.s)
	}
	c.sendErr, c.out, c.starts = err, nil, nil
	retire := c.startRetiring()
	c.mu.Unlock()
	if retire {
		c.cfg.Retire()
	}
	for _, s := range unrun {
		s.fail(err)
	}
	if stuck {
		c.end(err, c.cfg.Lost) // the application has stopped reading: its answers are not waited for
	}
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// outMin is how many bytes of requests may wait to be written on a connection without
// being charged.
const outMin = 64 << 10

// chargeOut charges n more bytes of requests that wait to be written; n is negative when
// they have been written. It reports whether there was memory. The caller holds the mutex.
func (c *Conn) chargeOut(n int) bool {
	charge := max(0, c.waiting+n-outMin)
	if more := charge - c.charged; more > 0 && !c.cfg.Memory.Reserve(more) {
		return false
	} else if more < 0 {
		c.cfg.Memory.Release(-more)
	}
	c.waiting, c.charged = c.waiting+n, charge
	return true
}

// releaseOut releases the charge for requests that will not be written any more.
func (c *Conn) releaseOut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.chargeOut(-c.waiting)
}
