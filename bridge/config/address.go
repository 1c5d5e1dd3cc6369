package config

import (
	"fmt"
	"net"
	"slices"
	"strings"
)

// ParseAddress splits a backend's address into the arguments of net.Dial: unix:/path and unix//path
// are unix sockets, anything else is host:port over TCP.
func ParseAddress(s string) (network, addr string, err error) {
	rest, isUnix := strings.CutPrefix(s, "unix:")
	if !isUnix {
		rest, isUnix = strings.CutPrefix(s, "unix/")
	}
	if isUnix {
		if !strings.HasPrefix(rest, "/") {
			return "", "", fmt.Errorf("address %q: the socket's path must be absolute, such as unix:/run/app.sock", s)
		}
		// sun_path holds 108 bytes with its final zero on Linux, 104 on BSD and macOS.
		if len(rest) > 103 {
			return "", "", fmt.Errorf("address %q: the socket's path is %d bytes, and the system takes at most 103", s, len(rest))
		}
		return "unix", rest, nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil || port == "" || strings.Contains(host, "/") {
		return "", "", fmt.Errorf("address %q: want unix:/path or host:port", s)
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return "", "", fmt.Errorf("address %q: %q is not a port", s, port)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return "tcp", net.JoinHostPort(host, port), nil
}

// Addresses returns Backends sorted and in one notation.
func (a *Application) Addresses() []string {
	list := make([]string, len(a.Backends))
	for i, backend := range a.Backends {
		network, addr, err := ParseAddress(backend)
		switch {
		case err != nil:
			list[i] = backend
		case network == "unix":
			list[i] = "unix:" + addr
		default:
			list[i] = addr
		}
	}
	slices.Sort(list)
	return list
}
