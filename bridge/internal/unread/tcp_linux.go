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
	net.Conn
	raw syscall.RawConn
}

func (c *tcpConn) any() (bool, error) {
	n, err := c.bytes()
	return n > 0, err
}

// TCP does not signal that the peer has read something, so the kernel is asked repeatedly, at intervals
// that double from minPollInterval to maxPollInterval.
const (
	minPollInterval = 50 * time.Microsecond
	maxPollInterval = 20 * time.Millisecond
)

func (c *tcpConn) awaitUntil(t time.Time) error {
	ctx, cancel := context.WithDeadlineCause(context.Background(), t, os.ErrDeadlineExceeded)
	defer cancel()
	return c.await(ctx)
}

func (c *tcpConn) await(ctx context.Context) error {
	t := time.NewTimer(0)
	defer t.Stop()
	for pause := minPollInterval; ; pause = min(2*pause, maxPollInterval) {
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

// bytes asks about the peer's socket. Bytes on their way to it are not counted, but within a machine
// they arrive at once.
func (c *tcpConn) bytes() (int, error) {
	if err := c.raw.Control(func(uintptr) {}); err != nil {
		return 0, err // closed
	}
	d, err := sockdiag.Dial()
	if err != nil {
		return 0, err
	}
	defer d.Close()
	far, err := d.TCP(c.RemoteAddr().(*net.TCPAddr).AddrPort(), c.LocalAddr().(*net.TCPAddr).AddrPort())
	return int(far.Unread), notHere(err)
}

// notHere translates sockdiag.ErrNotFound to ErrNotHere.
func notHere(err error) error {
	if errors.Is(err, sockdiag.ErrNotFound) {
		return ErrNotHere
	}
	return err
}
