//go:build linux

package freeport

import (
	"net"
	"testing"
)

// A port is nobody else's until it is released, and can be listened at on every address.
func TestReserve(t *testing.T) {
	seen := make(map[string]bool)
	for range 200 {
		addr, release, err := Reserve()
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		if seen[addr] {
			t.Fatalf("%s is given twice", addr)
		}
		seen[addr] = true
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []string{addr, ":" + port} {
			l, err := net.Listen("tcp", at)
			if err != nil {
				t.Fatal(err)
			}
			l.Close()
		}
	}
}

// What another address has is not free.
func TestTaken(t *testing.T) {
	for _, network := range []string{"tcp", "udp"} {
		var port int
		switch network {
		case "tcp":
			l, err := net.Listen(network, "127.0.0.2:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			port = l.Addr().(*net.TCPAddr).Port
		case "udp":
			c, err := net.ListenPacket(network, "127.0.0.2:0")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			port = c.LocalAddr().(*net.UDPAddr).Port
		}
		if isFree(port) {
			t.Errorf("%s port %d of another address seems to be free", network, port)
		}
	}
}
