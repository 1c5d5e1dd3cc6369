package nested

import (
	"encoding/binary"
	"net/netip"
	"os"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// diag asks sock_diag(7), one question at a time. Package netlink would allocate a page for
// each answer, and thousands of requests may wait.
type diag struct {
	fd       int
	seq      uint32 // of the last question
	broken   bool   // it was not answered in time
	out, buf []byte
}

// answerWithin is how long the kernel may take, which answers while it is asked.
const answerWithin = time.Second

func dialDiag() (*diag, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	limit := unix.NsecToTimeval(answerWithin.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("connect", err)
	}
	return &diag{fd: fd, buf: make([]byte, 8<<10)}, nil
}

func (d *diag) close() { _ = unix.Close(d.fd) } // there is nothing to lose

// From linux/inet_diag.h and linux/unix_diag.h.
const (
	inetFixed = 72 // sizeof(struct inet_diag_msg)
	inetInode = 68 // in it
	unixFixed = 16 // sizeof(struct unix_diag_msg)
	showPeer  = 1 << 2
	attrPeer  = 2
	allStates = 0xffffffff
	noCookie  = 0xffffffff
)

// tcp returns the inode of the socket with these ends, 0 if there is none.
func (d *diag) tcp(local, remote netip.AddrPort) uint64 {
	if local.Addr().Is4() {
		if inode := d.ask(tcpRequest(unix.AF_INET, local, remote)); inode != 0 {
			return inode
		}
	}
	return d.ask(tcpRequest(unix.AF_INET6, local, remote))
}

// ask returns the inode in the answer to a request for one TCP socket.
func (d *diag) ask(request []byte) uint64 {
	b := d.execute(request)
	if len(b) < inetFixed {
		return 0
	}
	return uint64(binary.NativeEndian.Uint32(b[inetInode:]))
}

// tcpRequest is a struct inet_diag_req_v2 for one socket.
func tcpRequest(family uint8, local, remote netip.AddrPort) []byte {
	b := make([]byte, 0, 56)
	b = append(b, family, unix.IPPROTO_TCP, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, allStates)
	b = binary.BigEndian.AppendUint16(b, local.Port())
	b = binary.BigEndian.AppendUint16(b, remote.Port())
	b = appendAddr(b, family, local.Addr())
	b = appendAddr(b, family, remote.Addr())
	b = binary.NativeEndian.AppendUint32(b, 0) // any interface
	b = binary.NativeEndian.AppendUint32(b, noCookie)
	return binary.NativeEndian.AppendUint32(b, noCookie)
}

// appendAddr appends 16 bytes.
func appendAddr(b []byte, family uint8, a netip.Addr) []byte {
	if family == unix.AF_INET {
		v4 := a.As4()
		return append(append(b, v4[:]...), make([]byte, 12)...)
	}
	v6 := a.As16()
	return append(b, v6[:]...)
}

// unixPeer returns the inode of the socket that a unix socket is connected to, 0 if that
// is not known.
func (d *diag) unixPeer(inode uint64) uint64 {
	b := d.execute(unixRequest(uint32(inode)))
	if len(b) < unixFixed {
		return 0
	}
	attrs, err := netlink.NewAttributeDecoder(b[unixFixed:])
	if err != nil {
		return 0
	}
	for attrs.Next() {
		if attrs.Type() == attrPeer {
			return uint64(attrs.Uint32())
		}
	}
	return 0
}

// unixRequest is a struct unix_diag_req for one socket.
func unixRequest(inode uint32) []byte {
	b := make([]byte, 0, 24)
	b = append(b, unix.AF_UNIX, 0, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, allStates)
	b = binary.NativeEndian.AppendUint32(b, inode)
	b = binary.NativeEndian.AppendUint32(b, showPeer)
	b = binary.NativeEndian.AppendUint32(b, noCookie)
	return binary.NativeEndian.AppendUint32(b, noCookie)
}

// execute returns the content of the answer, until the next question. An error, such as that
// there is no such socket, is no answer.
func (d *diag) execute(request []byte) []byte {
	if d.broken {
		return nil
	}
	d.seq++
	b := binary.NativeEndian.AppendUint32(d.out[:0], uint32(unix.NLMSG_HDRLEN+len(request)))
	b = binary.NativeEndian.AppendUint16(b, unix.SOCK_DIAG_BY_FAMILY)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST)
	b = binary.NativeEndian.AppendUint32(b, d.seq)
	b = binary.NativeEndian.AppendUint32(b, 0) // the port of this socket
	d.out = append(b, request...)
	if _, err := again(func() (int, error) { return unix.Write(d.fd, d.out) }); err != nil {
		return nil
	}
	n, err := again(func() (int, error) { return unix.Read(d.fd, d.buf) })
	if err != nil || n < unix.NLMSG_HDRLEN || binary.NativeEndian.Uint32(d.buf[8:]) != d.seq {
		d.broken = true // an answer may come yet: it is not to be taken for that to the next
		return nil
	}
	size := int(binary.NativeEndian.Uint32(d.buf))
	if binary.NativeEndian.Uint16(d.buf[4:]) != unix.SOCK_DIAG_BY_FAMILY || size < unix.NLMSG_HDRLEN || size > n {
		return nil
	}
	return d.buf[unix.NLMSG_HDRLEN:size]
}

// again repeats a call that a signal has interrupted.
func again(call func() (int, error)) (n int, err error) {
	for {
		if n, err = call(); err != unix.EINTR {
			return n, err
		}
	}
}
