//go:build unix

package pool

import "syscall"

// wouldBlock reports whether a read on the non-blocking socket fd would wait:
// the peer neither sent anything nor closed it.
func wouldBlock(fd uintptr) bool {
	var b [1]byte
	_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
	return err == syscall.EAGAIN
}

// pendingError returns the error that a socket has met besides the end of what it
// can read. Over TCP a server that closes before our request comes looks like one
// that has read it, but for the reset that follows.
func pendingError(fd uintptr) error {
	if errno, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR); err == nil && errno != 0 {
		return syscall.Errno(errno)
	}
	return nil
}
