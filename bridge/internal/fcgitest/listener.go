package fcgitest

import (
	"context"
	"net"
	"os"
	"sync"
	"syscall"
)

// Listener is a listening socket in memory.
type Listener struct {
	backlog int

	mu      sync.Mutex
	changed *sync.Cond
	queue   []*Conn // connected and not accepted yet, oldest first; at most backlog+1
	closed  bool
}

// Listen returns a listener whose backlog takes one connection more than its value, as that of a unix
// socket on Linux.
func Listen(backlog int) *Listener {
	l := &Listener{backlog: backlog}
	l.changed = sync.NewCond(&l.mu)
	return l
}

// Dial connects. It never waits: the error is EAGAIN with a full backlog, ECONNREFUSED with a closed
// listener.
func (l *Listener) Dial(ctx context.Context) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, opError("dial", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, opError("dial", os.NewSyscallError("connect", syscall.ECONNREFUSED))
	case len(l.queue) > l.backlog:
		return nil, opError("dial", os.NewSyscallError("connect", syscall.EAGAIN))
	}
	near, far := Pipe()
	l.queue = append(l.queue, far)
	l.changed.Broadcast()
	return near, nil
}

// Accept waits for a connection.
func (l *Listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) == 0 {
		if l.closed {
			return nil, opError("accept", net.ErrClosed)
		}
		l.changed.Wait()
	}
	c := l.queue[0]
	l.queue = l.queue[1:]
	return c, nil
}

// Close closes the listener and the connections in its backlog.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return opError("close", net.ErrClosed)
	}
	l.closed = true
	for _, c := range l.queue {
		_ = c.Close()
	}
	l.queue = nil
	l.changed.Broadcast()
	return nil
}

// reset is Close, but resets the connections in the backlog, as Linux does.
func (l *Listener) reset() error {
	l.mu.Lock()
	for _, c := range l.queue {
		_ = c.Reset()
	}
	l.queue = nil
	l.mu.Unlock()
	return l.Close()
}

// reopen listens again after Close.
func (l *Listener) reopen() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = false
}

// Addr returns a placeholder.
func (l *Listener) Addr() net.Addr { return addr{} }
