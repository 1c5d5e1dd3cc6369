package acceptqueue

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// From linux/inet_diag.h.
const (
	inetFixed  = 72 // sizeof(struct inet_diag_msg)
	attrV6Only = 11
)

// ofTCP returns the queue that a connection to addr would join: that of the sockets bound to its IP
// address, otherwise that of the sockets bound to all addresses.
func ofTCP(addr string) (Queue, error) {
	at, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return Queue{}, err
	}
	ip := at.AddrPort().Addr().Unmap().WithZone("")
	families := []uint8{unix.AF_INET6}
	if ip.Is4() {
		families = []uint8{unix.AF_INET, unix.AF_INET6} // an IPv6 socket may serve both
	}
	for _, family := range families {
		sockets, err := tcpListeners(family, at.AddrPort().Port())
		if err != nil {
			return Queue{}, err
		}
		q := sum(sockets, func(s tcpSocket) bool { return s.ip == ip })
		if q.Inodes == nil && isLocal(ip) {
			q = sum(sockets, func(s tcpSocket) bool { return s.ip.IsUnspecified() && !(s.v6only && ip.Is4()) })
		}
		if q.Inodes != nil {
			return q, nil
		}
	}
	return Queue{}, ErrNotHere
}

// tcpSocket is a listening TCP socket.
type tcpSocket struct {
	queue  Queue
	ip     netip.Addr
	v6only bool
}

// sum adds up the queues of the sockets that match.
func sum(sockets []tcpSocket, match func(tcpSocket) bool) (q Queue) {
	for _, s := range sockets {
		if match(s) {
			q.add(s.queue)
		}
	}
	return q
}

// isLocal reports whether ip is an address of this machine.
func isLocal(ip netip.Addr) bool {
	if ip.IsLoopback() || ip.IsUnspecified() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(ip.AsSlice()) {
			return true
		}
	}
	return false
}

// tcpListeners returns the sockets of a family that listen on port.
func tcpListeners(family uint8, port uint16) ([]tcpSocket, error) {
	answers, err := dump(tcpRequest(family, port))
	if err != nil {
		return nil, err
	}
	var list []tcpSocket
	for _, b := range answers {
		s, err := parseTCP(b)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// tcpRequest returns a struct inet_diag_req_v2 for the sockets that listen on port.
func tcpRequest(family uint8, port uint16) []byte {
	b := make([]byte, 0, 56)
	b = append(b, family, unix.IPPROTO_TCP, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, onlyListening)
	b = binary.BigEndian.AppendUint16(b, port)
	return append(b, make([]byte, 46)...) // any addresses, interface and cookie
}

// parseTCP reads a struct inet_diag_msg and its attributes.
func parseTCP(b []byte) (tcpSocket, error) {
	if len(b) < inetFixed {
		return tcpSocket{}, errShort
	}
	s := tcpSocket{ip: netip.AddrFrom4([4]byte(b[8:12])), queue: Queue{
		Depth:   int(binary.NativeEndian.Uint32(b[56:])),
		Backlog: int(binary.NativeEndian.Uint32(b[60:])),
		Inodes:  []uint64{uint64(binary.NativeEndian.Uint32(b[68:]))},
	}}
	if b[0] == unix.AF_INET6 {
		s.ip = netip.AddrFrom16([16]byte(b[8:24])).Unmap()
	}
	attrs, err := netlink.NewAttributeDecoder(b[inetFixed:])
	if err != nil {
		return tcpSocket{}, err
	}
	for attrs.Next() {
		if attrs.Type() == attrV6Only {
			s.v6only = attrs.Uint8() != 0
		}
	}
	return s, attrs.Err()
}
