package cgi

import "strings"

// xForwarded applies X-Forwarded-For and X-Forwarded-Proto, each a list over all
// its lines.
func (m *Mapper) xForwarded(c Client, addrs, protos []string) Client {
	hops := 0 // from the right, how many were read
	for entry := range lastFirst(addrs) {
		h, ok := parseHop(entry)
		if !ok {
			break // "unknown", or garbage: the last good one is as far as we see
		}
		hops++
		c.Addr, c.Port = h.text, h.port
		if !m.trusted.has(h.addr) {
			break
		}
	}
	// Proxies either replace the scheme or add theirs to the list, one for each
	// address. Only in the second case is there one for the client's hop.
	back := 1
	if hops > 0 && count(protos) == count(addrs) {
		back = hops
	}
	for proto := range lastFirst(protos) {
		if back--; back == 0 {
			c.Scheme = schemeOr(proto, c.Scheme)
			break
		}
	}
	return c
}

// schemeOr returns proto if it is a scheme the variables can express.
func schemeOr(proto, otherwise string) string {
	switch {
	case strings.EqualFold(proto, "https"):
		return "https"
	case strings.EqualFold(proto, "http"):
		return "http"
	}
	return otherwise
}

// lastFirst yields the elements of a comma-separated list, the last one first.
func lastFirst(lines []string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i := len(lines) - 1; i >= 0; i-- {
			rest, more := lines[i], true
			for more {
				var entry string
				comma := strings.LastIndexByte(rest, ',')
				entry, more = rest[comma+1:], comma >= 0
				rest = rest[:max(comma, 0)]
				if !yield(strings.Trim(entry, " \t")) {
					return
				}
			}
		}
	}
}

func count(lines []string) int {
	n := len(lines)
	for _, line := range lines {
		n += strings.Count(line, ",")
	}
	return n
}

// forwarded applies Forwarded. Lines are read from the last: one that does not
// parse hides only what is left of it, which is what a client may have written.
func (m *Mapper) forwarded(c Client, lines []string) Client {
	var space [8]forwardedElement
	for i := len(lines) - 1; i >= 0; i-- {
		elements, ok := appendForwarded(space[:0], lines[i])
		if !ok {
			return c
		}
		for j := len(elements) - 1; j >= 0; j-- {
			e := elements[j]
			h, ok := parseHop(e.node)
			if !ok {
				return c // "unknown", an obfuscated name, or no for= at all
			}
			c.Addr, c.Port = h.text, h.port
			c.Scheme = schemeOr(e.proto, c.Scheme)
			if !m.trusted.has(h.addr) {
				return c
			}
		}
	}
	return c
}

// forwardedElement is what one proxy said (RFC 7239 section 4).
type forwardedElement struct {
	node  string // for=
	proto string
}

// appendForwarded parses one Forwarded line.
func appendForwarded(dst []forwardedElement, s string) (_ []forwardedElement, ok bool) {
	var e forwardedElement
	for {
		s = strings.TrimLeft(s, " \t")
		name, value, rest, ok := forwardedPair(s)
		if !ok {
			return dst, false
		}
		switch {
		case strings.EqualFold(name, "for"):
			e.node = value
		case strings.EqualFold(name, "proto"):
			e.proto = value
		}
		s = strings.TrimLeft(rest, " \t")
		switch {
		case s == "":
			return append(dst, e), true
		case s[0] == ',':
			dst, e = append(dst, e), forwardedElement{}
		case s[0] != ';':
			return dst, false
		}
		s = s[1:]
	}
}

// forwardedPair parses the token "=" (token / quoted-string) that s starts with.
// Escapes in a quoted string are refused: no address or scheme needs one.
func forwardedPair(s string) (name, value, rest string, ok bool) {
	name, s, ok = strings.Cut(s, "=")
	if !ok || !isToken(name) {
		return "", "", "", false
	}
	if strings.HasPrefix(s, `"`) {
		value, rest, ok = strings.Cut(s[1:], `"`)
		return name, value, rest, ok && strings.IndexByte(value, '\\') < 0
	}
	end := strings.IndexAny(s, ",; \t")
	if end < 0 {
		end = len(s)
	}
	return name, s[:end], s[end:], isToken(strings.ReplaceAll(s[:end], ":", ""))
}

// isToken reports a token of RFC 9110 section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && strings.IndexByte("!#$%&'*+-.^_`|~", s[i]) < 0 {
			return false
		}
	}
	return s != ""
}
