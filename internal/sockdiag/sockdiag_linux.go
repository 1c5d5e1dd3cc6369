package sockdiag

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

var (
	// ErrNotFound reports that there is no such socket in this network namespace, or that the
	// kernel does not support the family.
	ErrNotFound = errors.New("sockdiag: no such socket")

	errShort = errors.New("sockdiag: the kernel's answer is too short")
	errOther = errors.New("sockdiag: the kernel's answer is to another question")
)

// Conn asks one question at a time. The caller of Dial owns it.
type Conn struct {
	fd     int
	seq    uint32 // of the last question
	kernel unix.SockaddrNetlink
	out    [questionMax]byte
	in     [answerMax]byte
}

// More bytes than a question or an answer about one socket takes.
const questionMax, answerMax = 128, 1 << 10

// Dial returns a Conn. The caller must close it.
func Dial() (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	return &Conn{fd: fd, kernel: unix.SockaddrNetlink{Family: unix.AF_NETLINK}}, nil
}

// Close closes the Conn's descriptor.
func (c *Conn) Close() { _ = unix.Close(c.fd) } // nothing was buffered

// TCP describes a TCP socket.
type TCP struct {
	Inode  uint32 // 0: no process has it any more
	Unread uint32 // bytes received and not read
}

// TCP describes the connected socket with these two addresses. An IPv4 address also finds an IPv6 socket
// with the mapped address.
func (c *Conn) TCP(local, remote netip.AddrPort) (TCP, error) {
	answer, err := c.ask(appendTCP(c.question(), local, remote))
	if err != nil {
		return TCP{}, err
	}
	if len(answer) < inetFixed {
		return TCP{}, errShort
	}
	return TCP{Inode: binary.NativeEndian.Uint32(answer[68:]), Unread: binary.NativeEndian.Uint32(answer[56:])}, nil
}

// Unix describes a unix socket.
type Unix struct {
	Peer   uint32 // the inode of the other end; 0: there is none, or it has not been accepted yet
	Unread uint32 // bytes received and not read
}

// Unix describes the unix socket with an inode.
func (c *Conn) Unix(inode uint32) (Unix, error) {
	answer, err := c.ask(appendUnix(c.question(), inode))
	if err != nil {
		return Unix{}, err
	}
	if len(answer) < unixFixed {
		return Unix{}, errShort
	}
	var u Unix
	for b := answer[unixFixed:]; len(b) > 0; {
		if len(b) < unix.SizeofNlAttr {
			return Unix{}, errShort
		}
		size, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		if size < unix.SizeofNlAttr || size > len(b) {
			return Unix{}, errShort
		}
		if data := b[unix.SizeofNlAttr:size]; len(data) >= 4 {
			switch kind {
			case attrPeer:
				u.Peer = binary.NativeEndian.Uint32(data)
			case attrQueue:
				u.Unread = binary.NativeEndian.Uint32(data)
			}
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return u, nil
}

// From linux/inet_diag.h and linux/unix_diag.h.
const (
	inetFixed = 72 // sizeof(struct inet_diag_msg)
	unixFixed = 16 // sizeof(struct unix_diag_msg)
	allStates = 0xffffffff
	noCookie  = 0xffffffffffffffff

	showPeer  = 1 << 2
	showQueue = 1 << 4
	attrPeer  = 2
	attrQueue = 4
)

// question returns the header of a question, to which the content must be appended.
func (c *Conn) question() []byte {
	c.seq++
	b := binary.NativeEndian.AppendUint32(c.out[:0], 0) // the length, set by ask
	b = binary.NativeEndian.AppendUint16(b, unix.SOCK_DIAG_BY_FAMILY)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST)
	b = binary.NativeEndian.AppendUint32(b, c.seq)
	return binary.NativeEndian.AppendUint32(b, 0) // the kernel's port
}

// appendTCP appends a struct inet_diag_req_v2 for one socket.
func appendTCP(b []byte, local, remote netip.AddrPort) []byte {
	family := uint8(unix.AF_INET)
	if !local.Addr().Unmap().Is4() {
		family = unix.AF_INET6
	}
	b = append(b, family, unix.IPPROTO_TCP, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, allStates)
	b = binary.BigEndian.AppendUint16(b, local.Port())
	b = binary.BigEndian.AppendUint16(b, remote.Port())
	b = appendAddr(b, local.Addr())
	b = appendAddr(b, remote.Addr())
	b = binary.NativeEndian.AppendUint32(b, 0) // any interface
	return binary.NativeEndian.AppendUint64(b, noCookie)
}

// appendAddr appends an address in 16 bytes, of which IPv4 uses the first four.
func appendAddr(b []byte, a netip.Addr) []byte {
	var field [16]byte
	if a = a.Unmap(); a.Is4() {
		v4 := a.As4()
		copy(field[:], v4[:])
	} else {
		field = a.As16()
	}
	return append(b, field[:]...)
}

// appendUnix appends a struct unix_diag_req for one socket.
func appendUnix(b []byte, inode uint32) []byte {
	b = append(b, unix.AF_UNIX, 0, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, allStates)
	b = binary.NativeEndian.AppendUint32(b, inode)
	b = binary.NativeEndian.AppendUint32(b, showPeer|showQueue)
	return binary.NativeEndian.AppendUint64(b, noCookie)
}

// ask sends a question and returns the content of the answer, which is valid until the next question.
func (c *Conn) ask(question []byte) ([]byte, error) {
	binary.NativeEndian.PutUint32(question, uint32(len(question)))
	if err := unix.Sendto(c.fd, question, 0, &c.kernel); err != nil {
		return nil, os.NewSyscallError("sendto", err)
	}
	n, err := unix.Read(c.fd, c.in[:])
	if err != nil {
		return nil, os.NewSyscallError("read", err)
	}
	return content(c.in[:n], c.seq)
}

// content returns the content of an answer to the question with number seq.
func content(answer []byte, seq uint32) ([]byte, error) {
	if len(answer) < unix.SizeofNlMsghdr {
		return nil, errShort
	}
	size := int(binary.NativeEndian.Uint32(answer))
	if size < unix.SizeofNlMsghdr || size > len(answer) {
		return nil, errShort
	}
	if binary.NativeEndian.Uint32(answer[8:]) != seq {
		return nil, errOther
	}
	content := answer[unix.SizeofNlMsghdr:size]
	switch binary.NativeEndian.Uint16(answer[4:]) {
	case unix.SOCK_DIAG_BY_FAMILY:
		return content, nil
	case unix.NLMSG_ERROR:
		if len(content) < 4 {
			return nil, errShort
		}
		if errno := unix.Errno(-int32(binary.NativeEndian.Uint32(content))); errno != unix.ENOENT {
			return nil, fmt.Errorf("sockdiag: %w", errno)
		}
		return nil, ErrNotFound
	}
	return nil, errOther
}
