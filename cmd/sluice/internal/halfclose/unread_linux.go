package halfclose

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// mostUnread is how much is thrown away when a connection is closed, in bytes.
const mostUnread = 64 << 10

// discard throws away what the client has sent and nobody has read, such as requests that
// it has sent ahead. A connection that is closed with bytes unread is reset, and a reset may
// cost the client the end of the answer.
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
		for left := min(n, mostUnread); left > 0; left -= n {
			if n, _, err = unix.Recvfrom(int(fd), buf, unix.MSG_DONTWAIT); err != nil || n == 0 {
				return
			}
		}
	})
}
