package config

import (
	"fmt"
	"net"
	"slices"
	"strings"
)

// ParseAddress splits an address of a backend into the arguments of net.Dial. unix:/path and unix//path
// are unix sockets, host:port is TCP. The protocol may be named: scgi+unix:/path,
// scgi://host:port; see ProtocolOf.
func ParseAddress(s string) (network, addr string, err error) {
	scheme, rest := cutScheme(s)
	if rest != s && protocolOf(scheme) == "" {
		return "", "", fmt.Errorf("address %q: there is no protocol %q: want %s, such as http+unix:/path or http://host:port", s, scheme, schemeNames())
	}
	path, isUnix := strings.CutPrefix(rest, "unix:")
	if !isUnix {
		path, isUnix = strings.CutPrefix(rest, "unix/")
	}
	switch {
	case isUnix && strings.HasPrefix(s, scheme+"://"):
		return "", "", fmt.Errorf("address %q: for a unix socket write %s+unix:/path", s, scheme)
	case isUnix:
		return parsePath(s, path)
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil || port == "" || strings.Contains(host, "/") {
		return "", "", fmt.Errorf("address %q: want unix:/path or host:port; http+unix:/path and http://host:port name the protocol: %s", s, schemeNames())
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return "", "", fmt.Errorf("address %q: %q is not a port", s, port)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return "tcp", net.JoinHostPort(host, port), nil
}

func parsePath(s, path string) (network, addr string, err error) {
	if !strings.HasPrefix(path, "/") {
		return "", "", fmt.Errorf("address %q: the socket's path must be absolute, such as unix:/run/app.sock", s)
	}
	// sun_path holds 108 bytes with its final zero on Linux, 104 on BSD and macOS.
	if len(path) > 103 {
		return "", "", fmt.Errorf("address %q: the socket's path is %d bytes, and the system takes at most 103", s, len(path))
	}
	return "unix", path, nil
}

// Addresses returns Backends sorted and in one notation, without the protocol.
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
