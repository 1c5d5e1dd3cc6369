//go:build linux

package loop

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// listener accepts connections for a loop: the runtime knows nothing of their descriptors.
type listener struct {
	net.Listener
	file *os.File // a descriptor of its own for the socket: that of package net does not wait for others
	raw  syscall.RawConn

	local atomic.Pointer[net.TCPAddr] // of the last connection: mostly it is that of the next one
}

// unnamed is the remote address of a client on a unix socket that has no name.
const unnamed = "@"

// Listen returns a listener that accepts from l, a TCP or unix listener, which is its own from then
// on. What it accepts is a *Conn.
func Listen(l net.Listener) (net.Listener, error) {
	sc, ok := l.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("loop: %s is no socket", l.Addr())
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	_, tcp := l.Addr().(*net.TCPAddr)
	fd, failed := -1, error(nil)
	err = raw.Control(func(of uintptr) {
		if tcp { // the connections have these from their listener
			_ = unix.SetsockoptInt(int(of), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
			_ = unix.SetsockoptInt(int(of), unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
			_ = unix.SetsockoptInt(int(of), unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15)
			_ = unix.SetsockoptInt(int(of), unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15)
		}
		fd, failed = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err = errors.Join(err, os.NewSyscallError("fcntl", failed)); err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	made := &listener{Listener: l, file: os.NewFile(uintptr(fd), l.Addr().String())}
	if made.raw, err = made.file.SyscallConn(); err != nil {
		return nil, errors.Join(err, made.file.Close())
	}
	return made, nil
}

// Adopt returns a *Conn that goes on with a TCP or unix connection of package net, of which nothing
// that a client wants to be read was read. It closes c. told says that the addresses are those that a
// proxy has told, and not those of the socket.
func Adopt(c net.Conn, local, remote net.Addr, told bool) (net.Conn, error) {
	defer c.Close() // the descriptor goes on as another one
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("loop: %s is no socket", c.LocalAddr())
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd, failed := -1, error(nil)
	err = raw.Control(func(of uintptr) { fd, failed = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, os.NewSyscallError("fcntl", failed)); err != nil {
		return nil, err
	}
	from := remote.String()
	if from == "" {
		from = unnamed
	}
	return &Conn{fd: fd, open: true, local: local, from: from, told: told}, nil
}

// Close implements net.Listener.
func (l *listener) Close() error { return errors.Join(l.file.Close(), l.Listener.Close()) }

// Accept implements net.Listener. It returns a *Conn.
func (l *listener) Accept() (net.Conn, error) {
	var fd int
	var remote unix.Sockaddr
	var failed error
	err := l.raw.Read(func(listening uintptr) bool {
		for {
			fd, remote, failed = unix.Accept4(int(listening), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
			if failed != unix.EINTR {
				return failed != unix.EAGAIN
			}
		}
	})
	if err != nil {
		return nil, &net.OpError{Op: "accept", Net: l.Addr().Network(), Addr: l.Addr(), Err: net.ErrClosed}
	}
	if failed != nil {
		return nil, &net.OpError{Op: "accept", Net: l.Addr().Network(), Addr: l.Addr(), Err: os.NewSyscallError("accept4", failed)}
	}
	c := &Conn{fd: fd, open: true}
	if err := l.name(c, remote); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return c, nil
}

// name sets the addresses of a connection.
func (l *listener) name(c *Conn, remote unix.Sockaddr) error {
	if c.local = l.Addr(); !c.isTCP() {
		c.from = unnamed
		if at, ok := remote.(*unix.SockaddrUnix); ok && at.Name != "" {
			c.from = at.Name
		}
		return nil
	}
	local, err := unix.Getsockname(c.fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	last := l.local.Load()
	if at := addrPort(local); last == nil || last.AddrPort() != at {
		last = net.TCPAddrFromAddrPort(at)
		l.local.Store(last)
	}
	c.local, c.from = last, addrPort(remote).String()
	return nil
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(sa.Addr).Unmap()
		if sa.ZoneId != 0 {
			if ifi, err := net.InterfaceByIndex(int(sa.ZoneId)); err == nil {
				ip = ip.WithZone(ifi.Name)
			}
		}
		return netip.AddrPortFrom(ip, uint16(sa.Port))
	}
	return netip.AddrPort{}
}
