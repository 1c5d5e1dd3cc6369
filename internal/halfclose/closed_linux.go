package halfclose

import "golang.org/x/sys/unix"

const supported = true

// isClosed reports whether both directions of a connection have ended. The end of the client's
// sending side alone is POLLIN and POLLRDHUP, which are not requested.
func isClosed(fd uintptr) bool {
	for {
		fds := []unix.PollFd{{Fd: int32(fd)}}
		n, err := unix.Poll(fds, 0)
		if err != unix.EINTR {
			return err != nil || n > 0 // POLLHUP or POLLERR
		}
	}
}
