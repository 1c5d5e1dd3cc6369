package unread

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/internal/sockdiag"
)

type tcpConn struct {
	*net.TCPConn
	raw syscall.RawConn
}

func (c *tcpConn) any() (bool, error) {
	n, err := c.bytes()
	return n > 0, err
}

// Nothing announces that the other side of TCP has read something: it is asked after
// awaitPause, twice that, and so on up to awaitPauseMax.
const (
	awaitPause    = 50 * time.Microsecond
	awaitPauseMax = 20 * time.Millisecond
)

func (c *tcpConn) awaitUntil(t time.Time) error {
	ctx, cancel := context.WithDeadlineCause(context.Background(), t, os.ErrDeadlineExceeded)
	defer cancel()
	return c.await(ctx)
}

func (c *tcpConn) await(ctx context.Context) error {
	t := time.NewTimer(0)
	defer t.Stop()
	for pause := awaitPause; ; pause = min(2*pause, awaitPauseMax) {
		select {
		case <-t.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if some, err := c.any(); !some || err != nil {
			return err
		}
		t.Reset(pause)
	}
}

// bytes asks for the socket whose own address is the one that c is connected to. What is
// on its way to it was not read either, but within a machine nothing is for long.
func (c *tcpConn) bytes() (int, error) {
	if err := c.raw.Control(func(uintptr) {}); err != nil {
		return 0, err // it is closed
	}
	d, err := sockdiag.Dial()
	if err != nil {
		return 0, err
	}
	defer d.Close()
	far, err := d.TCP(c.RemoteAddr().(*net.TCPAddr).AddrPort(), c.LocalAddr().(*net.TCPAddr).AddrPort())
	return int(far.Unread), notHere(err)
}

// notHere returns err in the words of this package.
func notHere(err error) error {
	if errors.Is(err, sockdiag.ErrNotFound) {
		return ErrNotHere
	}
	return err
}
