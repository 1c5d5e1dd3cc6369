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
	used    int // kernel memory that written bytes take, in bytes
	limit   int // how much they may take
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
			return
		}
		s.used, s.limit = int(max(info[skMeminfoWmemAlloc], info[skMeminfoWmemQueued])), int(info[skMeminfoSndbuf])
	}
	return s
}

// HasRoom implements Room. In the least favourable case, that of small segments, the kernel needs
// twice the room for them.
func (s *socket) HasRoom(n int) bool {
	return s.raw.Control(s.measure) == nil && s.err == nil && s.used+2*n+overhead <= s.limit
}
