package halfclose

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// isLocal reports whether a TCP connection comes from this machine.
func isLocal(c net.Conn) bool {
	local, remote := addrPort(c.LocalAddr()).Addr(), addrPort(c.RemoteAddr()).Addr()
	return remote.IsLoopback() || remote.IsValid() && remote == local
}

func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	at := tcp.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())
}

// From linux/inet_diag.h.
const (
	inetFixed = 72 // sizeof(struct inet_diag_msg)
	inetInode = 68 // in it
	allStates = 0xffffffff
	noCookie  = 0xffffffff
)

// isHeld asks sock_diag(7) whether a process of this machine still has the other end of a
// TCP connection. found is false if the kernel does not know that end, any more or at all.
func isHeld(c net.Conn) (held, found bool, err error) {
	d, err := netlink.Dial(unix.NETLINK_SOCK_DIAG, nil)
	if err != nil {
		return false, false, err
	}
	defer d.Close()
	theirs, ours := addrPort(c.RemoteAddr()), addrPort(c.LocalAddr())
	families := []uint8{unix.AF_INET, unix.AF_INET6} // an IPv6 socket may have IPv4 addresses
	if theirs.Addr().Is6() {
		families = families[1:]
	}
	for _, family := range families {
		messages, err := d.Execute(netlink.Message{
			Header: netlink.Header{Type: unix.SOCK_DIAG_BY_FAMILY, Flags: netlink.Request},
			Data:   question(family, theirs, ours),
		})
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			return false, false, err
		}
		for _, m := range messages {
			if len(m.Data) >= inetFixed { // a socket that was closed has no inode
				return binary.NativeEndian.Uint32(m.Data[inetInode:]) != 0, true, nil
			}
		}
	}
	return false, false, nil
}

// question is a struct inet_diag_req_v2 for one socket.
func question(family uint8, local, remote netip.AddrPort) []byte {
	b := make([]byte, 0, 56)
	b = append(b, family, unix.IPPROTO_TCP, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, allStates)
	b = binary.BigEndian.AppendUint16(b, local.Port())
	b = binary.BigEndian.AppendUint16(b, remote.Port())
	for _, a := range []netip.Addr{local.Addr(), remote.Addr()} {
		if family == unix.AF_INET {
			v4 := a.As4()
			b = append(append(b, v4[:]...), make([]byte, 12)...)
		} else {
			v6 := a.As16()
			b = append(b, v6[:]...)
		}
	}
	b = binary.NativeEndian.AppendUint32(b, 0) // any interface
	b = binary.NativeEndian.AppendUint32(b, noCookie)
	return binary.NativeEndian.AppendUint32(b, noCookie)
}
