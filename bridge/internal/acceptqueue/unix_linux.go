package acceptqueue

import (
	"encoding/binary"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// From linux/unix_diag.h.
const (
	showName  = 1 << 0
	showFile  = 1 << 1
	showQueue = 1 << 4

	attrName  = 0
	attrFile  = 1
	attrQueue = 4

	unixFixed = 16 // sizeof(struct unix_diag_msg)
)

// ofUnix returns the queue of the socket that path leads to.
func ofUnix(path string) (Queue, error) {
	var file unix.Stat_t
	if err := unix.Stat(path, &file); err != nil {
		return Queue{}, err
	}
	answers, err := dump(unixRequest())
	if err != nil {
		return Queue{}, err
	}
	for _, b := range answers {
		s, err := parseUnix(b)
		if err != nil {
			return Queue{}, err
		}
		if s.isAt(path, &file) {
			return s.queue, nil
		}
	}
	return Queue{}, ErrNotHere
}

// unixRequest returns a struct unix_diag_req for all listening sockets.
func unixRequest() []byte {
	b := make([]byte, 0, 24)
	b = append(b, unix.AF_UNIX, 0, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, onlyListening)
	b = binary.NativeEndian.AppendUint32(b, 0) // any inode
	b = binary.NativeEndian.AppendUint32(b, showName|showFile|showQueue)
	return binary.NativeEndian.AppendUint64(b, 0) // no cookie
}

// unixSocket is a listening unix socket.
type unixSocket struct {
	queue Queue
	name  string // as it was bound
	inode uint32 // of the file, the lower half
	dev   uint32 // of the file, as the kernel writes it
}

// isAt reports whether s is bound to file at path. On some file systems (btrfs, overlayfs), stat
// returns another device than the kernel; there the name is compared. The inode must match in any
// case, because a socket keeps its name after its file was replaced.
func (s *unixSocket) isAt(path string, file *unix.Stat_t) bool {
	if s.inode != uint32(file.Ino) {
		return false
	}
	dev := uint64(file.Dev)
	return s.dev == unix.Major(dev)<<20|unix.Minor(dev) || s.name == path
}

// parseUnix reads a struct unix_diag_msg and its attributes.
func parseUnix(b []byte) (unixSocket, error) {
	if len(b) < unixFixed {
		return unixSocket{}, errShort
	}
	s := unixSocket{queue: Queue{Inodes: []uint64{uint64(binary.NativeEndian.Uint32(b[4:]))}}}
	attrs, err := netlink.NewAttributeDecoder(b[unixFixed:])
	if err != nil {
		return unixSocket{}, err
	}
	for attrs.Next() {
		data := attrs.Bytes()
		switch attrs.Type() {
		case attrName:
			s.name = strings.TrimSuffix(string(data), "\x00")
		case attrFile:
			if len(data) >= 8 {
				s.inode, s.dev = binary.NativeEndian.Uint32(data), binary.NativeEndian.Uint32(data[4:])
			}
		case attrQueue:
			if len(data) >= 8 {
				s.queue.Depth = int(binary.NativeEndian.Uint32(data))
				s.queue.Backlog = int(binary.NativeEndian.Uint32(data[4:]))
			}
		}
	}
	return s, attrs.Err()
}
