package cgi

import (
	"net/netip"
	"strconv"
	"strings"
)

// IsHost reports whether host is a valid Host field or authority of a URL: a name or an
// address, optionally with a port.
func IsHost(host string) bool {
	_, _, ok := splitHost(host)
	return ok
}

// isOfHost has the bytes that a Host field may have.
var isOfHost = func() (of [256]bool) {
	for c := range of {
		of[c] = isAlphanumeric(byte(c)) || strings.IndexByte("-._:[]~!$%&'()*+,;=", byte(c)) >= 0
	}
	return of
}()

// splitHost splits a Host field; ok is false if it is malformed. The brackets of an IPv6
// address are kept: RFC 3875 section 4.1.14 requires them in SERVER_NAME.
func splitHost(host string) (name, port string, ok bool) {
	for i := range len(host) {
		if !isOfHost[host[i]] {
			return "", "", false // net/http accepts the same characters
		}
	}
	name = host
	if strings.HasPrefix(host, "[") {
		end := strings.IndexByte(host, ']')
		if end < 0 {
			return "", "", false
		}
		if addr, err := netip.ParseAddr(host[1:end]); err != nil || !addr.Is6() {
			return "", "", false
		}
		name = host[:end+1]
	} else if before, _, ok := strings.Cut(host, ":"); ok {
		name = before
	}
	if rest := host[len(name):]; rest != "" {
		if rest[0] != ':' || rest != ":" && !isPort(rest[1:]) {
			return "", "", false
		}
		port = rest[1:]
	}
	if name == "" || name[0] != '[' && (strings.IndexByte(name, '[') >= 0 || strings.IndexByte(name, ']') >= 0) || strings.Contains(name, "..") || !wellEscaped(name) {
		return "", "", false
	}
	return name, port, true
}

func isPort(s string) bool {
	if s == "" || len(s) > len("65535") {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	n, err := strconv.Atoi(s)
	return err == nil && n <= 65535
}
