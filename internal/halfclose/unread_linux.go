package halfclose

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// maxDiscard is how many bytes are discarded when a connection is closed.
const maxDiscard = 64 << 10

// discard reads and drops unread bytes of the client, such as pipelined requests. A connection that
// is closed with unread bytes is reset, and a reset may cost the client the end of the answer.
func discard(c syscall.Conn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { // it fails if the connection is closed already
		n, err := unix.IoctlGetInt(int(fd), unix.TIOCINQ)
		if err != nil || n == 0 {
			return
		}
		buf := make([]byte, 4<<10)
		for left := min(n, maxDiscard); left > 0; left -= n {
			if n, _, err = unix.Recvfrom(int(fd), buf, unix.MSG_DONTWAIT); err != nil || n == 0 {
				return
			}
		}
	})
}
