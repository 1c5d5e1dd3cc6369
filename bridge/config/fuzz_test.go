package config

import (
	"net"
	"strings"
	"testing"
)

// What ParseAddress takes can be dialled, and is the same in the notation that Addresses writes.
func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"unix:/run/app.sock", "unix//a", "[::1]:9000", ":9000", "scgi+unix:/a", "uwsgi://h:1", "http+unix:/a:/b", "fcgi://unix:/a", "unix:/a/scgi+unix:/b://"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		network, addr, err := ParseAddress(s)
		if err != nil {
			if network != "" || addr != "" || err.Error() == "" {
				t.Fatalf("%q: %q %q, %v", s, network, addr, err)
			}
			return
		}
		again := addr
		switch network {
		case "unix":
			if again = "unix:" + addr; !strings.HasPrefix(addr, "/") || !strings.HasSuffix(s, addr) {
				t.Fatalf("%q: %q", s, addr)
			}
		case "tcp":
			if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || port == "" {
				t.Fatalf("%q: %q", s, addr)
			}
		default:
			t.Fatalf("%q: network %q", s, network)
		}
		if n, a, err := ParseAddress(again); n != network || a != addr || err != nil {
			t.Fatalf("%q: %q %q, and that again: %q %q, %v", s, network, addr, n, a, err)
		}
	})
}

// An authorizer's address is its backend and its target, of which nothing is lost. The backend has
// no target of its own.
func FuzzAuthorizerBackend(f *testing.F) {
	for _, s := range []string{"unix:/a:/b", "192.0.2.1:9000", "http://[::1]:80/a/b?c=/d", "http+unix:/a:/b?c=:/d", "http://unix:/a:/b", "http+unix:/a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a := Authorizer{Address: s}
		backend, target := a.Backend()
		if target != "" && (target[0] != '/' || !a.SpeaksHTTP()) {
			t.Fatalf("%q: target %q", s, target)
		}
		if a.check() != nil {
			return
		}
		if whole := backend + target; whole != s && backend+":"+target != s {
			t.Fatalf("%q: %q and %q", s, backend, target)
		}
		if again, more := (&Authorizer{Address: backend}).Backend(); again != backend || more != "" {
			t.Fatalf("%q: backend %q, which is %q and %q", s, backend, again, more)
		}
	})
}
