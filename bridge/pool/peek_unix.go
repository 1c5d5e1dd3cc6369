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
