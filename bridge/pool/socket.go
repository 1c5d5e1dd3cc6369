package pool

import (
	"net"
	"slices"
	"syscall"
)

// Addrs returns the addresses of the instances there are, those that are leaving included.
func (p *Pool) Addrs() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	addrs := make([]string, 0, len(p.instances)+len(p.draining))
	for _, in := range slices.Concat(p.instances, p.draining) {
		addrs = append(addrs, in.Addr)
	}
	return addrs
}

// Socket returns the connection for asking the system about it, and its two ends. It is
// nil if the connection is no socket. It must not be read, written or closed.
func (l *Lease) Socket() (raw syscall.RawConn, local, remote net.Addr) {
	sc, ok := l.c.Conn.(syscall.Conn)
	if !ok {
		return nil, nil, nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, nil, nil // it is closed
	}
	return raw, l.c.Conn.LocalAddr(), l.c.Conn.RemoteAddr()
}
