package cgi

import (
	"net/http"
	"strings"
)

// forwardedFields are the fields in which proxies describe their clients.
var forwardedFields = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Real-Ip"}

// ForwardedFields returns the names of the fields in h that are accepted from trusted
// proxies only.
func (m *Mapper) ForwardedFields(h http.Header) (names []string) {
	for _, name := range forwardedFields {
		if len(h[name]) > 0 {
			names = append(names, name)
		}
	}
	if m.userHeader != "" && len(h[m.userHeader]) > 0 {
		names = append(names, m.userHeader)
	}
	return names
}

// xForwardedFor applies X-Forwarded-For, a list over all its lines, and returns how many
// of its elements were read, from the right.
func (m *Mapper) xForwardedFor(c *Client, lines []string) (hops int) {
	for entry := range lastFirst(lines) {
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
	return hops
}

// setRequested applies X-Forwarded-Proto, -Host and -Port: what the client has requested.
// hops is how many elements of X-Forwarded-For lead to the client.
func (c *Client) setRequested(r *http.Request, hops int) {
	addrs := r.Header["X-Forwarded-For"]
	of := func(name string) string { return element(r.Header[name], addrs, hops) }
	c.Scheme = schemeOr(of("X-Forwarded-Proto"), c.Scheme)
	host, port := of("X-Forwarded-Host"), of("X-Forwarded-Port")
	if host == "" && port == "" {
		return
	}
	if host == "" {
		name, _, ok := splitHost(r.Host)
		if !ok {
			return // Vars refuses it
		}
		c.Host = withPort(name, port, c.Scheme)
		return
	}
	c.setHost("X-Forwarded-Host", host)
	if name, own, ok := splitHost(c.Host); ok && own == "" {
		c.Host = withPort(name, port, c.Scheme)
	}
}

func (c *Client) setHost(field, host string) {
	if _, _, ok := splitHost(host); !ok {
		c.refuse("%s %.200q is no host", field, host)
		return
	}
	c.Host = host
}

// withPort returns name with a port that is one, and not the scheme's own.
func withPort(name, port, scheme string) string {
	if port = strings.TrimLeft(port, "0"); !isPort(port) || port == defaultPort(scheme) {
		return name
	}
	return name + ":" + port
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

// element returns what a list says of the client's hop. Proxies either replace such a
// field or add to the list, one element for each address. Only in the second case is
// there one for the client's hop; else the last, the nearest proxy's, is the best.
func element(list, addrs []string, hops int) string {
	if len(list) == 0 {
		return ""
	}
	back := 1
	if hops > 1 && count(list) == count(addrs) {
		back = hops
	}
	for entry := range lastFirst(list) {
		if back--; back == 0 {
			return entry
		}
	}
	return ""
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

// forwarded applies Forwarded. Lines are read from the last: those before the client's
// hop are what it may have written, and are not looked at.
func (m *Mapper) forwarded(c *Client, lines []string) {
	var space [8]forwardedElement
	for i := len(lines) - 1; i >= 0; i-- {
		elements, ok := appendForwarded(space[:0], lines[i])
		if !ok {
			c.refuse("Forwarded %.200q is malformed (RFC 7239)", lines[i])
			return
		}
		for j := len(elements) - 1; j >= 0; j-- {
			e := elements[j]
			h, ok := parseHop(e.node)
			if !ok {
				return // "unknown", an obfuscated name, or no for= at all
			}
			c.Addr, c.Port = h.text, h.port
			c.Scheme = schemeOr(e.proto, c.Scheme)
			if e.host != "" {
				c.setHost("Forwarded: host=", e.host)
			}
			if !m.trusted.has(h.addr) {
				return
			}
		}
	}
}

// forwardedElement is what one proxy said (RFC 7239 section 4).
type forwardedElement struct {
	node  string // for=
	proto string
	host  string
}

// appendForwarded parses one Forwarded line. Empty elements, pairs and values are passed
// over, as proxies write them.
func appendForwarded(dst []forwardedElement, s string) (_ []forwardedElement, ok bool) {
	var e forwardedElement
	seen := false
	for {
		s = strings.TrimLeft(s, " \t;")
		if s == "" || s[0] == ',' {
			if seen {
				dst, e, seen = append(dst, e), forwardedElement{}, false
			}
			if s == "" {
				return dst, true
			}
			s = s[1:]
			continue
		}
		name, value, rest, ok := forwardedPair(s)
		if !ok {
			return dst, false
		}
		seen = true
		switch {
		case strings.EqualFold(name, "for"):
			e.node = value
		case strings.EqualFold(name, "proto"):
			e.proto = value
		case strings.EqualFold(name, "host"):
			e.host = value
		}
		if s = strings.TrimLeft(rest, " \t"); s != "" && s[0] != ',' && s[0] != ';' {
			return dst, false
		}
	}
}

// forwardedPair parses the token "=" (token / quoted-string) that s starts with. An
// address need not be quoted, although it should be.
func forwardedPair(s string) (name, value, rest string, ok bool) {
	name, s, ok = strings.Cut(s, "=")
	if !ok || !isToken(name) {
		return "", "", "", false
	}
	if strings.HasPrefix(s, `"`) {
		value, rest, ok = quoted(s)
		return name, value, rest, ok
	}
	end := strings.IndexAny(s, ",; \t")
	if end < 0 {
		end = len(s)
	}
	value = s[:end]
	for i := range len(value) {
		if !isTokenChar(value[i]) && strings.IndexByte(":[]/", value[i]) < 0 {
			return "", "", "", false
		}
	}
	return name, value, s[end:], true
}

// quoted returns the quoted-string (RFC 9110 section 5.6.4) that s starts with, and what
// follows it.
func quoted(s string) (value, rest string, ok bool) {
	escaped := false
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			if value = s[1:i]; escaped {
				value = unescape(value)
			}
			return value, s[i+1:], true
		case '\\':
			escaped = true
			i++
		}
	}
	return "", "", false
}

func unescape(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			i++ // quoted has seen that there is one
		}
		b = append(b, s[i])
	}
	return string(b)
}

// isToken reports a token of RFC 9110 section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		if !isTokenChar(s[i]) {
			return false
		}
	}
	return s != ""
}

func isTokenChar(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
