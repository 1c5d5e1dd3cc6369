package proc

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"
)

// holdPort chooses a port for a child, and holds it as long as the socket is there. A socket that
// is bound with SO_REUSEADDR and does not listen keeps Linux from giving the port to anybody who
// asks for any port, be it to listen or to connect. It does not keep the child from listening: for
// that, the child must set SO_REUSEADDR, too, as servers do to be started again at once. Elsewhere
// nothing can hold a port so; there it is only chosen.
//
// Many programs listen at all addresses, whatever host they are told. So a port that the system is
// to choose is held at all of them: one that is free at 127.0.0.1 may be that of a connection from
// another address of this machine.
func holdPort(addr, name string) (*Socket, error) {
	at, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("port for the command: %w", err)
	}
	if at.IP == nil {
		at.IP = net.IPv4(127, 0, 0, 1)
	}
	hold := bind
	if at.Port == 0 {
		hold = bindAny
	}
	f, err := hold(at)
	if err != nil {
		return nil, fmt.Errorf("port for the command: bind %s: %w", addr, err)
	}
	s := &Socket{Addr: at.String(), mode: Port, file: f, name: name, network: "tcp", path: at.String()}
	if runtime.GOOS != "linux" {
		s.file = nil
		_ = f.Close()
	}
	return s, nil
}

// bindAny is bind at all addresses of this machine, to a port that the system chooses. It sets the
// port of the address.
func bindAny(at *net.TCPAddr) (*os.File, error) {
	all := &net.TCPAddr{IP: net.IPv6unspecified}
	f, err := bind(all)
	if errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL) { // there is no IPv6
		all.IP = net.IPv4zero
		f, err = bind(all)
	}
	at.Port = all.Port
	return f, err
}

// bind returns a socket that is bound to an address and does not listen. It sets the port of the
// address.
func bind(at *net.TCPAddr) (*os.File, error) {
	family, name := syscall.AF_INET6, syscall.Sockaddr(&syscall.SockaddrInet6{Port: at.Port, Addr: [16]byte(at.IP.To16()), ZoneId: zone(at.Zone)})
	if ip := at.IP.To4(); ip != nil {
		family, name = syscall.AF_INET, &syscall.SockaddrInet4{Port: at.Port, Addr: [4]byte(ip)}
	}
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), at.String())
	err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err == nil && at.IP.Equal(net.IPv6unspecified) {
		err = syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, 0) // IPv4, too
	}
	if err == nil {
		err = syscall.Bind(fd, name)
	}
	if err == nil {
		name, err = syscall.Getsockname(fd)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	switch name := name.(type) {
	case *syscall.SockaddrInet4:
		at.Port = name.Port
	case *syscall.SockaddrInet6:
		at.Port = name.Port
	}
	return f, nil
}

// zone is the number of an interface, 0 if there is none of that name.
func zone(name string) uint32 {
	if ifi, err := net.InterfaceByName(name); err == nil {
		return uint32(ifi.Index)
	}
	return 0
}
