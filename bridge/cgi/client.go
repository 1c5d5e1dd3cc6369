package cgi

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Client is who a request comes from, as far as it can be trusted.
type Client struct {
	Addr   string // IP address without zone, or "unix:" for a peer on a unix socket that named nobody
	Port   string // decimal, "" if unknown
	Scheme string // "http" or "https", as the client used it
	// Host is the host, and the port if it is not the scheme's, that the client asked
	// for, if a trusted proxy says so. "": it is the request's own.
	Host string
	// Trusted says that the peer is a trusted proxy. What it says about the
	// client (X-Forwarded-*, Forwarded, X-Real-IP) is passed to the application.
	Trusted bool
	// User and AuthType are REMOTE_USER and AUTH_TYPE, "" if nobody was
	// authenticated. Client takes them from Config.UserHeader of a trusted proxy; a
	// front in this process that checks passwords fills them in.
	User, AuthType string
	// Verified says that this process has checked the Authorization field. It is not
	// passed to the application then (RFC 3875 section 4.1.18).
	Verified bool
	// Relayed says that a proxy in this process has set the X-Forwarded-* fields itself, or that
	// the request came with its variables, so that nobody need be warned that they are ignored.
	Relayed bool
	// Refused is why the request must not be served, whatever it asks for; nil: it may be.
	Refused *RequestError
}

// unixClient is REMOTE_ADDR for peers on a unix socket, as nginx has it.
const unixClient = "unix:"

// Client returns who r comes from. If the peer is a trusted proxy, that is the
// rightmost address it reports that is not a trusted proxy itself: everything
// left of it was written by somebody who is not trusted.
//
// X-Forwarded-For and X-Forwarded-Proto win over Forwarded (RFC 7239), which is
// read only if neither is there. A proxy that sets Forwarded must remove the
// others, or its clients can choose their address; one that sets either must set or
// remove X-Forwarded-Host and X-Forwarded-Port, too.
//
// A request whose Forwarded field is malformed is refused: the client may have written an
// open quote that hides what the proxy has added, and would pass for the proxy.
func (m *Mapper) Client(r *http.Request) (c Client) {
	m.Identify(r, &c)
	return c
}

// Identify sets c to what Client returns.
func (m *Mapper) Identify(r *http.Request, c *Client) {
	*c = Client{Scheme: "http"}
	if r.TLS != nil {
		c.Scheme = "https"
	}
	if v := ReceivedOf(r); v != nil {
		c.User, c.AuthType, c.Relayed = v.user, v.authType, true
	}
	if m.peer(c, r) {
		m.behindProxy(c, r)
	}
}

// behindProxy makes c, a trusted proxy, the client that it speaks for. Inlined, it would
// be in the frame of every request, and the stack of those that are parked twice the size.
//
//go:noinline
func (m *Mapper) behindProxy(c *Client, r *http.Request) {
	c.Trusted = true
	_, addrs := r.Header["X-Forwarded-For"]
	_, protos := r.Header["X-Forwarded-Proto"]
	if lines := r.Header["Forwarded"]; len(lines) > 0 && !addrs && !protos {
		m.forwarded(c, lines)
	} else {
		c.setRequested(r, m.xForwardedFor(c, r.Header["X-Forwarded-For"]))
	}
	m.UserOf(r, c)
}

// ThroughProxy completes c by what a trusted proxy says of how its client asked
// (X-Forwarded-Proto, -Host, -Port). It is for a front that knows by itself that the peer
// is one, and who the client is: c.Addr.
func (c *Client) ThroughProxy(r *http.Request) {
	c.Trusted = true
	hops := 0
	for entry := range lastFirst(r.Header["X-Forwarded-For"]) {
		hops++
		if h, ok := parseHop(entry); ok && h.text == c.Addr {
			c.setRequested(r, hops)
			return
		}
	}
	c.setRequested(r, 0)
}

// UserOf sets the user of c to what Config.UserHeader of a trusted proxy says, if nobody
// has authenticated the client yet.
func (m *Mapper) UserOf(r *http.Request, c *Client) {
	if m.userHeader == "" || !c.Trusted || c.User != "" {
		return
	}
	switch lines := r.Header[m.userHeader]; {
	case len(lines) > 1:
		c.refuse("%s is there %d times: does the proxy remove its client's?", m.userHeader, len(lines))
	case len(lines) == 1 && lines[0] != "":
		c.User, c.AuthType = lines[0], AuthType(r)
	}
}

// AuthType is AUTH_TYPE for somebody that a proxy, or another part of this process, has
// authenticated: the scheme of the Authorization field, "Basic" if there is none.
func AuthType(r *http.Request) string {
	if lines := r.Header["Authorization"]; len(lines) > 0 {
		if scheme, _, _ := strings.Cut(lines[0], " "); isToken(scheme) && !strings.EqualFold(scheme, "Basic") {
			return scheme
		}
	}
	return "Basic"
}

// refuse says why the request must not be served. The first reason stays.
func (c *Client) refuse(format string, args ...any) {
	if c.Refused == nil {
		c.Refused = badRequest(format, args...)
	}
}

// peer sets c to the other end of the connection, and returns whether it is trusted.
func (m *Mapper) peer(c *Client, r *http.Request) (trusted bool) {
	if isUnix(r) {
		c.Addr = unixClient
		return m.trusted.unix
	}
	h, ok := parseHop(r.RemoteAddr)
	if !ok {
		// Something in front replaced RemoteAddr. It is shown, never trusted.
		c.Addr = r.RemoteAddr
		return false
	}
	c.Addr, c.Port = h.text, h.port
	return m.trusted.has(h.addr)
}

// isUnix looks at the listener first: on some systems the peer of a unix socket
// has no name at all, on Linux it is "@".
func isUnix(r *http.Request) bool {
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.UnixAddr); ok && local != nil {
		return true
	}
	return strings.HasPrefix(r.RemoteAddr, "@") || strings.HasPrefix(r.RemoteAddr, "/")
}

// hop is one address in the list that proxies make.
type hop struct {
	addr netip.Addr
	text string // addr as text, without zone
	port string // "" if it was not given
}

// parseHop parses "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]"
// and "[2001:db8::1]:80".
func parseHop(s string) (hop, bool) {
	host, port := s, ""
	if len(s) > maxHop {
		return hop{}, false
	}
	switch {
	case strings.HasPrefix(s, "["):
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return hop{}, false
		}
		host = s[1:end]
		if rest := s[end+1:]; rest != "" {
			if rest[0] != ':' || !isPort(rest[1:]) {
				return hop{}, false
			}
			port = rest[1:]
		}
	case strings.Count(s, ":") == 1:
		host, port, _ = strings.Cut(s, ":")
		if !isPort(port) {
			return hop{}, false
		}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return hop{}, false
	}
	addr = addr.Unmap().WithZone("")
	if len(host) <= len("255.255.255.255") && addr.Is4() && host[0] != ':' {
		return hop{addr, host, port}, true // its only spelling, nothing to allocate
	}
	return hop{addr, addr.String(), port}, true
}

// maxHop is longer than any address with a zone and a port.
const maxHop = 128
