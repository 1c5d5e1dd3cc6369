//go:build linux

package loop

import (
	"golang.org/x/sys/unix"

	"github.com/sluice-proxy/sluice/bridge/pool/mux"
)

// happened takes the events of a connection to the application.
func (w *watching) happened(events uint32) {
	ending := events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
	if w.shared != nil {
		w.shared.Ready(events&unix.EPOLLIN != 0, ending, events&unix.EPOLLOUT != 0 || ending)
		return
	}
	w.came.Store(true)
	w.reader.readable(w.serial, ending)
}

// The methods of mux.Loop.

// Post implements mux.Loop.
func (l *loop) Post(f func()) bool { return l.post(f) }

// Watch implements mux.Loop.
func (l *loop) Watch(c *mux.Conn, fd int, room bool) error {
	op, events := unix.EPOLL_CTL_MOD, uint32(unix.EPOLLIN|unix.EPOLLRDHUP)
	if _, is := l.shared[c]; !is {
		op = unix.EPOLL_CTL_ADD
		*l.leaseAt(fd) = watching{serial: c.Serial(), shared: c}
		l.shared[c] = struct{}{}
	}
	if room { // an application that reads would have the loop told of room each time
		events |= unix.EPOLLOUT
	}
	return l.poller.control(op, fd, events, uint32(c.Serial())|ofLease)
}

// Forget implements mux.Loop.
func (l *loop) Forget(c *mux.Conn) { delete(l.shared, c) }

var _ mux.Loop = (*loop)(nil)
