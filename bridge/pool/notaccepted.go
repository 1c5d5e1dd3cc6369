package pool

import (
	"net"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/socket"
)

// When a process ends, the connections that it has accepted are closed. Those in the accept
// queue stay open as long as any process holds the listening socket, and look like
// connections on which the application takes its time.

// Fail says that no process accepts connections at addr now, nor will for a while, and that
// none is left that has accepted one. Requests on new connections on which nothing has come,
// not even the end, fail with ErrNotAccepted: they were never read. Requests that wait for a
// connection do not wait for this instance any more. The next request is sent there again.
func (p *Pool) Fail(addr string) {
	p.mu.Lock()
	if in := p.find(addr); in != nil {
		in.recheck()
		p.cancelDials(in)
		if in.membership == serving {
			p.allowDials(in)
		}
		p.ruleOut(in, ErrNotAccepted)
		p.dispatchWaiters()
	}
	p.unlock()
}

// recheck has the readers of unproved connections look whether anything has come. If so, the
// request may have been read.
func (in *instance) recheck() {
	for c := range in.all {
		switch {
		case c.state != busy || c.proved:
		case c.mux != nil:
			c.mux.Recheck()
		default:
			c.recheck.Store(true)
			_ = c.Conn.SetReadDeadline(time.Unix(1, 0)) // fails only if the connection is closed already
			c.poll.wake()
		}
	}
}

// ruleOut has no waiter wait for in any more.
func (p *Pool) ruleOut(in *instance, err error) {
	for e := p.waiters.Front(); e != nil; e = e.Next() {
		if w := e.Value.(*waiter); !w.hasTried(in) {
			w.failed = append(w.failed, &DialError{in.Addr, err})
		}
	}
}

// notAccepted reports whether nothing has ever come on a connection, not even its end. A
// late reply to a query is something.
func (c *conn) notAccepted() bool {
	return c.in.Received() == 0 && c.failed == nil && (c.raw == nil || c.isQuiet())
}

// checkAccepted returns ErrNotAccepted if there is nothing to read from nc, not even its
// end, or if that cannot be seen.
func checkAccepted(nc net.Conn) error {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return ErrNotAccepted
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil // it is closed
	}
	var quiet bool
	if raw.Control(func(fd uintptr) { quiet = socket.Quiet(int(fd)) }) == nil && quiet {
		return ErrNotAccepted
	}
	return nil
}
