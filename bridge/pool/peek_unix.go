//go:build unix

package pool

import "syscall"

// pendingError returns an error of the socket that a read at its end does not return. Over
// TCP, a server that closed before the request arrived looks like one that has read it,
// except for the reset that follows.
func pendingError(fd uintptr) error {
	if errno, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR); err == nil && errno != 0 {
		return syscall.Errno(errno)
	}
	return nil
}
