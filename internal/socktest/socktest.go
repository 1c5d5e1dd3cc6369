// Package socktest has connected sockets of every kind for tests.
package socktest

import (
	"net"
	"path/filepath"
	"testing"
)

// Kind is a kind of connection.
type Kind struct{ Name, Network, addr, host string }

// The kinds of connections that the kernel is asked about.
var (
	Unix  = Kind{"unix", "unix", "", ""}
	IPv4  = Kind{"IPv4", "tcp4", "127.0.0.1:0", ""}
	IPv6  = Kind{"IPv6", "tcp6", "[::1]:0", ""}
	Both  = Kind{"IPv4 to a listener of both", "tcp", "[::]:0", "127.0.0.1"}
	Kinds = []Kind{Unix, IPv4, IPv6, Both}
)

// Connect returns both ends of a connection, which are closed when the test ends.
func (k Kind) Connect(t testing.TB) (near, far net.Conn) {
	t.Helper()
	addr := k.addr
	if k.Network == "unix" {
		addr = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(k.Network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	to := l.Addr().String()
	if k.host != "" {
		_, port, err := net.SplitHostPort(to)
		if err != nil {
			t.Fatal(err)
		}
		to = net.JoinHostPort(k.host, port)
	}
	if near, err = net.Dial(k.Network, to); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	return near, far
}
