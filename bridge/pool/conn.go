package pool

import (
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// connState is where a connection is in its life. Every one counts against its
// instance's budget until it is gone.
type connState uint8

const (
	none    connState = iota // not in the budget: not yet dialled, or closed
	dialing                  // being dialled for a waiter
	busy                     // leased
	idle                     // kept
	closing                  // being closed
	connStates
)

// readBuffer is the size of a connection's read buffer, in bytes. There are at
// most Workers of them per instance.
const readBuffer = 32 << 10

// conn is one connection. Its state, abandoned, evicted and idleSince belong to the pool's mutex,
// interrupted is atomic, everything else belongs to whoever owns it: the dialler,
// the lease or, while idle, the pool.
type conn struct {
	net.Conn
	inst      *instance
	state     connState
	abandoned bool
	evicted   bool // it is closed to make room, and nothing is wrong with it
	idleSince time.Time

	interrupted atomic.Bool
	uses        int    // requests begun on it
	id          uint16 // of the current request

	raw     syscall.RawConn // nil if the connection is not a socket
	peek    func(fd uintptr)
	quiet   bool // peek's result
	records recordReader
}

// open makes a connection of one that is being dialled.
func (c *conn) open(nc net.Conn) {
	c.Conn = nc
	c.records.buf = make([]byte, readBuffer)
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	c.raw = raw
	c.peek = func(fd uintptr) { c.quiet = wouldBlock(fd) }
}

// usable reports whether an idle connection still is what it was: open, and
// without a byte to read.
func (c *conn) usable() bool {
	if c.raw == nil {
		return true
	}
	c.quiet = false
	// Control, not Read: the last request's deadline may have passed.
	return c.raw.Control(c.peek) == nil && c.quiet
}

// begin starts the connection's next request.
func (c *conn) begin() {
	c.interrupted.Store(false)
	c.uses++
	c.id = uint16((c.uses-1)%65535) + 1
}

// next returns the next record of the current request, or as much of it as has
// arrived. Reads end at deadline; zero means never.
func (c *conn) next(deadline time.Time) (Event, error) {
	r := &c.records
	for {
		ev, ok, err := r.take(c.id)
		if ok || err != nil {
			return ev, err
		}
		if err := c.SetReadDeadline(deadline); err != nil {
			return Event{}, err
		}
		// Interrupt sets the flag first and the deadline second, so one of the two
		// is seen here whatever the order.
		if c.interrupted.Load() {
			return Event{}, ErrInterrupted
		}
		n, err := c.Read(r.space())
		r.filled(n)
		if n > 0 {
			continue
		}
		if c.interrupted.Load() {
			return Event{}, ErrInterrupted
		}
		return Event{}, err
	}
}

func (c *conn) write(b []byte, deadline time.Time) (int, error) {
	if err := c.SetWriteDeadline(deadline); err != nil {
		return 0, err
	}
	if c.interrupted.Load() {
		return 0, ErrInterrupted
	}
	n, err := c.Conn.Write(b)
	if err != nil && c.interrupted.Load() {
		err = ErrInterrupted
	}
	return n, err
}

// lingerFor is how long an application may take to close its side after END.
const lingerFor = time.Second

// linger waits until the application closes its side, because its worker is
// taken until then. Some wait for ours to be closed, too, so it is not for long.
func (c *conn) linger() {
	if c.SetReadDeadline(time.Now().Add(lingerFor)) != nil {
		return
	}
	for {
		if _, err := c.Read(c.records.buf); err != nil {
			return
		}
	}
}

// Event is the next thing the application said on a connection.
type Event struct {
	// Type is TypeStdout, TypeStderr or TypeEndRequest.
	Type fcgi.Type
	// Data is output: part of a record, or all of it. It is valid until the next
	// call and never empty.
	Data []byte
	// End is set if Type is TypeEndRequest.
	End fcgi.EndRequest
}

// recordReader cuts what arrives into events. It holds what was read and not yet
// taken in buf[r:w].
type recordReader struct {
	buf     []byte
	r, w    int
	header  fcgi.Header
	content int // bytes of the current record's content still to come
	padding int // bytes of its padding still to come
	total   int64
}

// take returns the next event if enough has arrived, and whether it has.
func (r *recordReader) take(id uint16) (ev Event, ok bool, err error) {
	for {
		if r.content == 0 {
			r.skipPadding()
			if r.padding > 0 || r.w-r.r < fcgi.HeaderLen {
				return Event{}, false, nil
			}
			if err := r.nextHeader(id); err != nil {
				return Event{}, false, err
			}
			continue
		}
		have := r.buf[r.r:r.w]
		if r.header.Type == fcgi.TypeEndRequest {
			if len(have) < r.content {
				return Event{}, false, nil
			}
			end, err := fcgi.DecodeEndRequest(have[:r.content])
			r.advance(r.content)
			r.skipPadding() // nobody takes anything after it
			return Event{Type: fcgi.TypeEndRequest, End: end}, err == nil, err
		}
		if len(have) == 0 {
			return Event{}, false, nil
		}
		have = have[:min(len(have), r.content)]
		r.advance(len(have))
		return Event{Type: r.header.Type, Data: have}, true, nil
	}
}

// nextHeader reads a record header and checks that the record belongs here.
func (r *recordReader) nextHeader(id uint16) error {
	h, err := fcgi.DecodeHeader(r.buf[r.r:r.w])
	if err != nil {
		return err
	}
	switch h.Type {
	case fcgi.TypeStdout, fcgi.TypeStderr:
	case fcgi.TypeEndRequest:
		if h.ContentLength != 8 {
			return &fcgi.FormatError{What: h.Type.String(), Why: fmt.Sprintf("content is %d bytes, want 8", h.ContentLength)}
		}
	default:
		return &fcgi.FormatError{What: "record", Why: fmt.Sprintf("unexpected %v from an application", h.Type)}
	}
	if h.RequestID != id {
		return &fcgi.FormatError{What: h.Type.String(), Why: fmt.Sprintf("request id is %d, want %d", h.RequestID, id)}
	}
	r.r += fcgi.HeaderLen
	r.header, r.content, r.padding = h, int(h.ContentLength), int(h.PaddingLength)
	return nil
}

func (r *recordReader) advance(n int) {
	r.r += n
	r.content -= n
}

// skipPadding drops what has come of the padding after a record's content.
func (r *recordReader) skipPadding() {
	n := min(r.padding, r.w-r.r)
	r.r += n
	r.padding -= n
}

// space returns where the next read goes. It is never empty: what is held back
// is less than a header or an END_REQUEST.
func (r *recordReader) space() []byte {
	if r.r > 0 {
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
	return r.buf[r.w:]
}

func (r *recordReader) filled(n int) {
	r.w += n
	r.total += int64(n)
}

// clean reports whether nothing of any record is left over, padding included.
func (r *recordReader) clean() bool { return r.r == r.w && r.content == 0 && r.padding == 0 }
