package cgi

import (
	"net/netip"
	"strconv"
	"strings"
)

// IsHost reports whether host may be the value of a Host field, or the authority of a URL:
// a name or an address, and perhaps a port.
func IsHost(host string) bool {
	_, _, ok := splitHost(host)
	return ok
}

// splitHost splits a Host field, or reports that it is none. The brackets of an IPv6
// address stay: RFC 3875 section 4.1.14 wants them in SERVER_NAME.
func splitHost(host string) (name, port string, ok bool) {
	for i := range len(host) {
		if c := host[i]; !isAlphanumeric(c) && strings.IndexByte("-._:[]~!$%&'()*+,;=", c) < 0 {
			return "", "", false // as net/http has it where it looks
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
	if name == "" || name[0] != '[' && strings.ContainsAny(name, "[]") || strings.Contains(name, "..") || !wellEscaped(name) {
		return "", "", false
	}
	return name, port, true
}

// wellEscaped reports whether each % in s begins an escape (RFC 3986, section 2.1).
func wellEscaped(s string) bool {
	for {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			return true
		}
		if s = s[i+1:]; len(s) < 2 || !isHex(s[0]) || !isHex(s[1]) {
			return false
		}
	}
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
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
