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

// xForwardedFor applies X-Forwarded-For, one list over all its lines, and returns how many
// elements lead to the client, counted from the right.
func (m *Mapper) xForwardedFor(c *Client, lines []string) (hops int) {
	for entry := range lastFirst(lines) {
		h, ok := parseHop(entry)
		if !ok {
			break // "unknown" or garbage: the last valid address is the client
		}
		hops++
		c.Addr, c.Port = h.text, h.port
		if !m.trusted.has(h.addr) {
			break
		}
	}
	return hops
}

// setRequested applies X-Forwarded-Proto, -Host and -Port, the scheme and host that the client
// has requested. hops is how many elements of X-Forwarded-For lead to the client.
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

// withPort appends port to name, unless it is invalid or the scheme's default.
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

// element returns the element of list for the client's hop. Proxies either replace such a
// field, or append one element for each address. If they append, the client's hop has an
// element of its own; if not, the last element, the nearest proxy's, is the best.
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

// schemeOr returns proto if it is http or https.
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

// forwarded applies Forwarded. Elements are read from the last one: the client may have written
// those before its own hop, and they are ignored.
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
				return // "unknown", an obfuscated name, or an element without for=
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

// forwardedElement is one proxy's element of Forwarded (RFC 7239 section 4).
type forwardedElement struct {
	node  string // for=
	proto string
	host  string
}

// appendForwarded parses one Forwarded line. It ignores empty elements, pairs and values,
// because proxies write them.
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

// forwardedPair parses the token "=" (token / quoted-string) at the start of s. It accepts
// addresses without quotes, although RFC 7239 requires them.
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

// quoted returns the quoted-string (RFC 9110 section 5.6.4) at the start of s, and the rest of
// s.
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
			i++ // quoted has checked that another character follows
		}
		b = append(b, s[i])
	}
	return string(b)
}

// isToken reports whether s is a token (RFC 9110 section 5.6.2).
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
