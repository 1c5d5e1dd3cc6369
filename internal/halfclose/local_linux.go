package halfclose

import (
	"errors"
	"net"
	"net/netip"

	"github.com/sluice-proxy/sluice/internal/sockdiag"
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

// isPeerOpen asks the kernel whether a process on this machine still has the other end of a TCP
// connection. found is false if the kernel does not know that end, or no longer.
func isPeerOpen(c net.Conn) (open, found bool, err error) {
	d, err := sockdiag.Dial()
	if err != nil {
		return false, false, err
	}
	defer d.Close()
	theirs, err := d.TCP(addrPort(c.RemoteAddr()), addrPort(c.LocalAddr()))
	switch {
	case errors.Is(err, sockdiag.ErrNotFound):
		return false, false, nil
	case err != nil:
		return false, false, err
	}
	return theirs.Inode != 0, true, nil
}
