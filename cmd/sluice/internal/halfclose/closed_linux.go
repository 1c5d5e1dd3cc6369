package halfclose

import "golang.org/x/sys/unix"

const supported = true

// closed reports whether both directions of a connection have ended. A client that has only
// closed its sending side makes it readable (POLLIN, POLLRDHUP), and that is not asked for.
func closed(fd uintptr) bool {
	for {
		fds := []unix.PollFd{{Fd: int32(fd)}}
		n, err := unix.Poll(fds, 0)
		if err != unix.EINTR {
			return err != nil || n > 0 // POLLHUP or POLLERR
		}
	}
}
