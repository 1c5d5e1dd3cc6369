package pool

import (
	"net"
	"syscall"
	"time"
)

// A process that dies closes the connections that it has accepted. Those that wait in the
// listening socket's queue stay, and look like any on which the application takes its
// time, for as long as somebody holds the socket.

// Fail says that no process accepts connections at addr now, nor will for a while, and
// that none is left that has accepted one. A request whose new connection has brought
// nothing, not even an end, fails with ErrNotAccepted: it was never read. Those that wait
// for a connection no longer wait for one to this instance. Nothing is remembered: the
// next request is sent there again.
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

// doubt has whoever reads from a connection look whether anything has come on it: what
// has come may not have been read.
func (in *instance) recheck() {
	for c := range in.all {
		switch {
		case c.state != busy || c.proved:
		case c.mux != nil:
			c.mux.Recheck()
		default:
			c.recheck.Store(true)
			_ = c.SetReadDeadline(time.Unix(1, 0)) // fails only if the connection is closed already
		}
	}
}

// countOut counts in among those that were tried for everybody who waits.
func (p *Pool) ruleOut(in *instance, err error) {
	for e := p.waiters.Front(); e != nil; e = e.Next() {
		if w := e.Value.(*waiter); !w.hasTried(in) {
			w.failed = append(w.failed, &DialError{in.Addr, err})
		}
	}
}

// unaccepted reports whether nothing has ever come on a connection, nor its end. A late
// answer to a question is something.
func (c *conn) notAccepted() bool {
	return c.in.Received() == 0 && c.failed == nil && (c.raw == nil || c.isQuiet())
}

// checkAccepted returns ErrNotAccepted if there is nothing to read from nc, not even its
// end. Where that cannot be seen, there is nothing.
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
	if raw.Control(func(fd uintptr) { quiet = wouldBlock(fd) }) == nil && quiet {
		return ErrNotAccepted
	}
	return nil
}
