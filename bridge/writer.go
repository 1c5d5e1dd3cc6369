package bridge

import (
	"net/http"
	"sync/atomic"
	"time"
)

// clientWriter gives a client that takes an answer its time for each piece.
type clientWriter struct {
	rc      http.ResponseController
	timeout time.Duration
	cut     atomic.Bool
}

func (x *exchange) clientWriter() *clientWriter {
	return &clientWriter{rc: *http.NewResponseController(x.w), timeout: time.Duration(x.b.cfg.Timeouts.Client)}
}

// extend gives the client its time to take the next piece.
func (c *clientWriter) extend() {
	_ = c.rc.SetWriteDeadline(time.Now().Add(c.timeout)) // unsupported: the front bounds writes, or nobody does
	// Cut sets the flag first and the deadline second, so one of the two is seen here
	// whatever the order.
	if c.cut.Load() {
		c.Cut() // the deadline above may have undone it
	}
}

// Cut implements spool.Cutter: the answer had to make room, and a Write to the client
// that is under way ends.
func (c *clientWriter) Cut() {
	c.cut.Store(true)
	_ = c.rc.SetWriteDeadline(time.Unix(1, 0)) // unsupported: then it lasts as long as the client likes
}

// done leaves the connection as it was found: another handler may be next on it.
// One that was cut ends, and net/http is not to wait for it with what it has left.
func (c *clientWriter) done(err error) {
	if err == nil || !c.cut.Load() {
		_ = c.rc.SetWriteDeadline(time.Time{})
	}
}
