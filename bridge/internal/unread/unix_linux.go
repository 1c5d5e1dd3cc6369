package unread

import (
	"context"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-proxy/sluice/internal/sockdiag"
)

// of returns the counter for the kind of socket that c is.
func of(c net.Conn) counter {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	switch c.RemoteAddr().(type) {
	case *net.UnixAddr:
		u := &unixConn{Conn: c, raw: raw}
		u.ask = func(fd uintptr) { u.queued, u.err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }
		return u
	case *net.TCPAddr:
		return &tcpConn{c, raw}
	}
	return nil
}

type unixConn struct {
	net.Conn
	raw syscall.RawConn
	ask func(fd uintptr)

	queued int // kernel memory held for the peer, in bytes
	err    error
}

// any asks how much kernel memory holds written data: none if the peer has read everything.
func (c *unixConn) any() (bool, error) {
	if err := c.raw.Control(c.ask); err != nil {
		return false, err
	}
	return c.queued > 0, c.err
}

// awaitUntil is woken each time the peer has read something, because the socket then has room for
// writes.
func (c *unixConn) awaitUntil(t time.Time) error {
	if err := c.SetWriteDeadline(t); err != nil {
		return err
	}
	return c.awaitWoken()
}

func (c *unixConn) awaitWoken() error {
	err := c.raw.Write(func(fd uintptr) bool {
		c.ask(fd)
		return c.queued == 0 || c.err != nil
	})
	if err != nil {
		return err
	}
	return c.err
}

func (c *unixConn) await(ctx context.Context) error {
	if err := c.SetWriteDeadline(time.Time{}); err != nil {
		return err
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = c.SetWriteDeadline(time.Unix(1, 0)) // fails only if the connection is closed already
		close(interrupted)
	})
	err := c.awaitWoken()
	if !stop() {
		<-interrupted
		_ = c.SetWriteDeadline(time.Time{}) // as above
		if err != nil {
			return context.Cause(ctx)
		}
	}
	return err
}

// bytes asks about this end for the peer, and about the peer for its unread bytes.
func (c *unixConn) bytes() (n int, err error) {
	some, err := c.any()
	if !some || err != nil {
		return 0, err
	}
	var file unix.Stat_t
	var failed error
	if err := c.raw.Control(func(fd uintptr) { failed = unix.Fstat(int(fd), &file) }); err != nil {
		return 0, err
	}
	if failed != nil {
		return 0, failed
	}
	d, err := sockdiag.Dial()
	if err != nil {
		return 0, err
	}
	defer d.Close()
	ours, err := d.Unix(uint32(file.Ino))
	switch {
	case err != nil:
		return 0, notHere(err)
	case ours.Peer == 0:
		return 0, ErrNotHere // the peer is closed, or has not been accepted and is not known yet
	}
	far, err := d.Unix(ours.Peer)
	return int(far.Unread), notHere(err)
}
