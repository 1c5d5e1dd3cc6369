package blocking

import (
	"errors"
	"net/http"
	"sync/atomic"
	"time"
)

// clientWriter gives a client that takes an answer its time for each piece.
type clientWriter struct {
	rc      http.ResponseController
	timeout time.Duration
	limit   time.Time // no deadline is later; zero: there is no limit
	loaded  func() (inUse, waiting int)
	cut     atomic.Bool
	lapses  bool // a deadline ends the answer when it passes, and not the next Write: in HTTP/2

	extended time.Time // when the client was last given its time; zero: it has no deadline of ours
}

// extendShare is by which part of its time the client may be given less.
const extendShare = 64

func (c *call) clientWriter() *clientWriter {
	return &clientWriter{
		rc: *http.NewResponseController(c.w), loaded: c.Site.Application.Gate.Load,
		timeout: time.Duration(c.Site.Config.Timeouts.Client), limit: c.writeLimit(), lapses: c.original.ProtoMajor == 2,
	}
}

// extend gives the client its time to take the next piece. Pieces follow each other faster than that is
// worth telling the connection: the time may be a little less.
func (c *clientWriter) extend() {
	if time.Since(c.extended) < c.timeout/extendShare {
		return
	}
	c.extended = time.Now()
	_ = c.rc.SetWriteDeadline(earlier(time.Now().Add(c.timeout), c.limit)) // unsupported: the front bounds writes, or nobody does
	// Cut sets the flag first and the deadline second, so one of the two is seen here
	// whatever the order.
	if c.cut.Load() {
		c.Cut() // the deadline above may have undone it
	}
}

// flush sends the client what it was written. What it is not sent yet takes none of its time.
func (c *clientWriter) flush() error {
	if err := c.rc.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return clientError(err)
	}
	if c.lapses {
		c.lift()
	}
	return nil
}

// lift puts back the deadline that the server has for the answer, or none.
func (c *clientWriter) lift() {
	c.extended = time.Time{}
	_ = c.rc.SetWriteDeadline(c.limit) // unsupported: then there was none
}

// Cut implements spool.Cutter: the answer had to make room, and a Write to the client
// that is under way ends.
func (c *clientWriter) Cut() {
	c.cut.Store(true)
	_ = c.rc.SetWriteDeadline(time.Unix(1, 0)) // unsupported: then it lasts as long as the client likes
}

// Pressing implements spool.Cutter: while the answer finds no room it holds a worker, and
// requests may wait for one.
func (c *clientWriter) Pressing() bool {
	_, waiting := c.loaded()
	return waiting > 0
}

// done puts back the deadline that the server has for the answer, or none: the rest of the
// answer is net/http's to send, and another handler may be next on the connection.
// After an error the connection ends, and net/http is not to wait for longer with what it
// has left.
func (c *clientWriter) done(err error) {
	if err == nil {
		c.lift()
	}
}
