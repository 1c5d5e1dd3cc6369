package sendroom

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Positions in what SO_MEMINFO tells of a socket (linux/sock_diag.h).
const (
	skMeminfoSndbuf     = 3
	skMeminfoWmemAlloc  = 2 // of a unix socket: what its peer has not read
	skMeminfoWmemQueued = 5 // of TCP: what is not acknowledged
	skMeminfoVars       = 9
)

// overhead is kernel memory that a Write may take beside twice its bytes: a segment that is not
// full takes as much as a full one.
const overhead = 8 << 10

type socket struct {
	raw     syscall.RawConn
	measure func(fd uintptr)
	room    int // kernel memory that is left for written bytes, in bytes; there may be more
	err     error
}

func ofSocket(raw syscall.RawConn) Room {
	s := &socket{raw: raw}
	s.measure = func(fd uintptr) {
		var info [skMeminfoVars]uint32
		size := uint32(unsafe.Sizeof(info))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		if s.err = nil; errno != 0 {
			s.err = errno
		}
		s.room = int(info[skMeminfoSndbuf]) - int(max(info[skMeminfoWmemAlloc], info[skMeminfoWmemQueued]))
	}
	return s
}

// Takes implements Room. In the least favourable case, that of small segments, the kernel needs
// twice the room for them.
func (s *socket) Takes(n int) bool {
	need := 2*n + overhead
	if need > s.room && (s.raw.Control(s.measure) != nil || s.err != nil || need > s.room) {
		return false
	}
	s.room -= need
	return true
}
