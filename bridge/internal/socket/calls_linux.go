package socket

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Read reads from a descriptor that does not block. It returns -1 with an error.
func Read(fd int, b []byte) (int, error) { return call(unix.SYS_READ, fd, b) }

// Write writes to a descriptor that does not block. It returns -1 with an error.
func Write(fd int, b []byte) (int, error) { return call(unix.SYS_WRITE, fd, b) }

func call(number uintptr, fd int, b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, _, errno := syscall.RawSyscall(number, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

// Writev writes the pieces, of which there are no more than iovecs, to a descriptor that does not block. It
// returns -1 with an error.
func Writev(fd int, pieces ...[]byte) (int, error) {
	var v [iovecs]unix.Iovec
	n := 0
	for _, p := range pieces {
		if len(p) > 0 {
			v[n].Base = &p[0]
			v[n].SetLen(len(p))
			n++
		}
	}
	if n == 0 {
		return 0, nil
	}
	m, _, errno := syscall.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&v[0])), uintptr(n))
	if errno != 0 {
		return -1, errno
	}
	return int(m), nil
}

const iovecs = 4

// Quiet reports whether a read on a socket that does not block would wait: the other side has neither
// sent anything nor closed.
func Quiet(fd int) bool {
	var b [1]byte
	_, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), 1, unix.MSG_PEEK, 0, 0)
	return errno == unix.EAGAIN
}

// Events stores in events what has happened to the descriptors of an epoll, without waiting, and
// returns how many there are.
func Events(epoll int, events []unix.EpollEvent) (int, error) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
