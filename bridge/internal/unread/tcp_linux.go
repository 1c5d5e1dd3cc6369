package unread

import (
	"context"
	"encoding/binary"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// inetFixed is sizeof(struct inet_diag_msg), of linux/inet_diag.h.
const inetFixed = 72

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
	answer, err := ask(tcpRequest(c.RemoteAddr().(*net.TCPAddr), c.LocalAddr().(*net.TCPAddr)))
	if err != nil {
		return 0, err
	}
	if len(answer) < inetFixed {
		return 0, errShort
	}
	return int(binary.NativeEndian.Uint32(answer[56:])), nil
}

// tcpRequest is a struct inet_diag_req_v2 for one connection.
func tcpRequest(local, remote *net.TCPAddr) []byte {
	family := uint8(unix.AF_INET)
	if local.IP.To4() == nil {
		family = unix.AF_INET6
	}
	b := make([]byte, 0, 56)
	b = append(b, family, unix.IPPROTO_TCP, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, 0xffffffff) // in any state
	b = binary.BigEndian.AppendUint16(b, uint16(local.Port))
	b = binary.BigEndian.AppendUint16(b, uint16(remote.Port))
	b = appendIP(b, local.IP)
	b = appendIP(b, remote.IP)
	b = binary.NativeEndian.AppendUint32(b, 0)                     // any interface
	return binary.NativeEndian.AppendUint64(b, 0xffffffffffffffff) // no cookie
}

// appendIP appends an address in 16 bytes, of which IPv4 uses the first four.
func appendIP(dst []byte, ip net.IP) []byte {
	var b [16]byte
	if v4 := ip.To4(); v4 != nil {
		copy(b[:], v4)
	} else {
		copy(b[:], ip.To16())
	}
	return append(dst, b[:]...)
}
