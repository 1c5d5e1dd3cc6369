package nested

import (
	"encoding/binary"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// diag asks sock_diag(7).
type diag struct{ c *netlink.Conn }

func dialDiag() (diag, error) {
	c, err := netlink.Dial(unix.NETLINK_SOCK_DIAG, nil)
	return diag{c}, err
}

func (d diag) close() { _ = d.c.Close() } // there is nothing to lose

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
func (d diag) tcp(local, remote netip.AddrPort) uint64 {
	if local.Addr().Is4() {
		if inode := d.ask(tcpRequest(unix.AF_INET, local, remote)); inode != 0 {
			return inode
		}
	}
	return d.ask(tcpRequest(unix.AF_INET6, local, remote))
}

// ask returns the inode in the answer to a request for one TCP socket.
func (d diag) ask(request []byte) uint64 {
	for _, b := range d.execute(request) {
		if len(b) >= inetFixed {
			return uint64(binary.NativeEndian.Uint32(b[inetInode:]))
		}
	}
	return 0
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
func (d diag) unixPeer(inode uint64) uint64 {
	for _, b := range d.execute(unixRequest(uint32(inode))) {
		if len(b) < unixFixed {
			continue
		}
		attrs, err := netlink.NewAttributeDecoder(b[unixFixed:])
		if err != nil {
			continue
		}
		for attrs.Next() {
			if attrs.Type() == attrPeer {
				return uint64(attrs.Uint32())
			}
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

// execute returns the contents of the answers. An error, such as that there is no such
// socket, is no answer.
func (d diag) execute(request []byte) (contents [][]byte) {
	messages, err := d.c.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.SOCK_DIAG_BY_FAMILY, Flags: netlink.Request},
		Data:   request,
	})
	if err != nil {
		return nil
	}
	for _, m := range messages {
		contents = append(contents, m.Data)
	}
	return contents
}
