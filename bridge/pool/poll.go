package pool

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"

	"github.com/sluice-proxy/sluice/bridge/internal/socket"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// An event loop uses leases without a goroutine that waits for each: it watches the sockets of
// the connections itself, and is notified of what happens to a connection otherwise.

// poll is what a connection needs to be read without waiting. Ready and more belong to the owner
// of the connection.
type poll struct {
	serial uint64 // of the connection, in this process
	more   bool   // there may be something to read
	ended  bool   // there may be the end, or an error, after what can be read
	// watched: an event loop has its events, and says with came that there was one since the socket
	// was last looked at. There may be several loops, each with events of its own: whoever looks
	// clears came before, and nobody afterwards.
	watched   atomic.Bool
	came      atomic.Bool
	cut       atomic.Bool // the pool has closed the connection, of which no loop is told
	direct    *socket.Direct
	watch     func(fd uintptr) // calls watcher; made once
	watcher   func(fd int, serial uint64, came *atomic.Bool) error
	unwatched error // what watcher has returned
	notify    atomic.Pointer[func()]
}

var serials atomic.Uint64

// begin prepares a new connection.
func (p *poll) begin(nc net.Conn) {
	p.serial, p.direct = serials.Add(1), socket.NewDirect(nc)
	p.watch = func(fd uintptr) { p.unwatched = p.watcher(int(fd), p.serial, &p.came) }
}

func (p *poll) wake() {
	if f := p.notify.Load(); f != nil {
		(*f)()
	}
}

// TryNext implements channel.
func (c *conn) TryNext() (none upstream.Event, err error) {
	if c.unasked {
		return none, io.EOF
	}
	if ev := c.early; ev.Kind != 0 {
		c.early = none
		return ev, nil
	}
	for {
		ev, err := c.take()
		switch {
		case ev.Kind != 0 || err != nil:
			return ev, err
		case c.failed != nil:
			return none, c.failed
		case c.interrupted.Load():
			return none, ErrInterrupted
		case c.recheck.Swap(false) && c.notAccepted():
			return none, ErrNotAccepted
		case !c.poll.more && !c.poll.cut.Load():
			return none, nil
		}
		c.poll.came.Store(false)
		space := c.in.Space()
		n, err := c.poll.direct.Read(space)
		c.in.Filled(n)
		c.poll.more = n == len(space) || n > 0 && c.poll.ended
		switch {
		case n > 0:
			if n == readBuffer {
				c.in.Grow(largeReadBuffer)
			}
		case err == syscall.EAGAIN:
			return none, nil
		default:
			return c.ending(c.reason(err))
		}
	}
}

// Notify implements channel. An event since the connection was leased was nobody's: what it was about is
// still to be read.
func (c *conn) Notify(f *func()) {
	c.poll.more = c.poll.more || c.poll.came.Load()
	c.poll.notify.Store(f)
}

// BeginWaits reports whether Begin may wait for some milliseconds, to see whether the
// application closes the connection.
func (l *Lease) BeginWaits() bool { return l.guarded }

// Notify has f called, in any goroutine, when TryNext may return something, except for what can
// be read from the socket that Watch is for; nil: no longer. It must be called before Begin; f must
// not block, and *f must not change. Release ends it.
func (l *Lease) Notify(f *func()) { l.ch.Notify(f) }

// Watch calls f with the descriptor of the connection and its serial number, which no other
// connection has, for an event loop that tells with Readable when there is something to read.
// The descriptor is open until f returns. A shared connection is not watched: Notify is enough.
// An error, f's or that of a connection that is closed or no socket, is that of TryNext from then on.
//
// For each event, also while the connection is not leased, the loop stores true in came: so a kept
// connection need not be asked whether it is in order.
func (l *Lease) Watch(f func(fd int, serial uint64, came *atomic.Bool) error) error {
	if l.Shared() {
		return nil
	}
	err := l.c.watch(f)
	if err != nil {
		l.c.failed = err // or its reader would wait for events that do not come
	}
	return err
}

func (c *conn) watch(f func(fd int, serial uint64, came *atomic.Bool) error) error {
	if c.raw == nil {
		return errors.New("pool: the connection to the application is no socket")
	}
	c.poll.watcher = f
	err := c.raw.Control(c.poll.watch)
	c.poll.watcher = nil
	if err == nil {
		err = c.poll.unwatched
	}
	c.poll.watched.Store(err == nil)
	return err
}

// isKnownQuiet reports whether a loop would know if something had come on the idle connection since
// its last request. Its knowledge is a moment old: that is enough for a request that can be sent
// again, in a protocol whose answers say which request they are for.
func (c *conn) isKnownQuiet(d Demand, codec upstream.Codec) bool {
	return !d.NoReplay && !codec.TakesHTTP() && c.poll.watched.Load() && !c.poll.came.Load() && c.failed == nil && !c.queried
}

// Readable says that there is something to read from the socket; ended: the end of the
// connection, or an error, comes after it.
func (l *Lease) Readable(ended bool) {
	if !l.Shared() {
		l.c.poll.more, l.c.poll.ended = true, l.c.poll.ended || ended
	}
}

// TryNext is Next without a wait: the event's Kind is 0 if nothing has come.
func (l *Lease) TryNext() (upstream.Event, error) {
	ev, err := l.ch.TryNext()
	if ev.Kind == 0 && err == nil {
		return ev, nil
	}
	return l.came(ev, err)
}

// Expired returns what Next returns when its deadline passes.
func (l *Lease) Expired() error { return l.fail("read", os.ErrDeadlineExceeded) }

// Interrupted returns what Next returns after Interrupt.
func (l *Lease) Interrupted() error { return l.fail("read", ErrInterrupted) }
