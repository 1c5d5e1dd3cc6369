//go:build unix

package pool

import "syscall"

// wouldBlock reports whether a read on the non-blocking socket fd would wait: the other
// side has neither sent anything nor closed.
func wouldBlock(fd uintptr) bool {
	var b [1]byte
	_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
	return err == syscall.EAGAIN
}

// pendingError returns an error of the socket that a read at its end does not return. Over
// TCP, a server that closed before the request arrived looks like one that has read it,
// except for the reset that follows.
func pendingError(fd uintptr) error {
	if errno, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR); err == nil && errno != 0 {
		return syscall.Errno(errno)
	}
	return nil
}
