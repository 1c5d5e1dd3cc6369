package cgi

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Client is the origin of a request, as far as it is known from trusted sources.
type Client struct {
	Addr   string // IP address without zone; "unix:" for a peer on a unix socket that reported no address
	Port   string // decimal, "" if unknown
	Scheme string // "http" or "https", as used by the client
	// Host is the host that the client has requested according to a trusted proxy, with the
	// port unless that is the scheme's default. "": the request's Host field is right.
	Host string
	// Trusted says that the peer is a trusted proxy. Its fields about the client
	// (X-Forwarded-*, Forwarded, X-Real-IP) are passed to the application.
	Trusted bool
	// User and AuthType are REMOTE_USER and AUTH_TYPE, "" if no user was authenticated.
	// Mapper.Client takes them from Config.UserHeader of a trusted proxy; a server in this
	// process that checks passwords sets them.
	User, AuthType string
	// Verified says that this process has checked the Authorization field. The field is then
	// not passed to the application (RFC 3875 section 4.1.18).
	Verified bool
	// Relayed says that a proxy in this process has set the X-Forwarded-* fields, or that the
	// request came with its variables, so that no warning about ignored fields is needed.
	Relayed bool
	// Granted is what an authorizer has given this request, nil if nothing.
	Granted *Granted
	// Grip is what the application is told that may have this client held, nil if it may not.
	Grip *Grip
	// Refused is why the request must not be served, whatever its path; nil if it may be.
	Refused *RequestError
}

// unixClient is REMOTE_ADDR for peers on a unix socket, as in nginx.
const unixClient = "unix:"

// Client returns the client of r. If the peer is a trusted proxy, the client is the rightmost
// address reported that is not a trusted proxy: the addresses to its left were written by
// peers that are not trusted.
//
// Forwarded (RFC 7239) is used only if there is neither X-Forwarded-For nor
// X-Forwarded-Proto. A proxy that sets Forwarded must remove these two, or its clients can
// choose their address; one that sets any of the three must set or remove X-Forwarded-Host
// and X-Forwarded-Port, too.
//
// A request whose Forwarded field is malformed is refused: the client may have written an
// open quote that hides the element which the proxy has added, and the proxy would be taken
// for the client.
func (m *Mapper) Client(r *http.Request) (c Client) {
	m.Identify(r, &c)
	return c
}

// Identify is Client without a copy of the result.
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

// behindProxy replaces c, a trusted proxy, by the client that the proxy reports. Inlined, this
// function would enlarge the stack frame of every request, and double the stack of parked ones.
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

// ThroughProxy completes c with the scheme and host that a trusted proxy reports
// (X-Forwarded-Proto, -Host, -Port). It is for a server that has decided by itself that the
// peer is a trusted proxy, and has set the client's address, c.Addr.
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

// UserOf sets the user of c from Config.UserHeader, if the peer is a trusted proxy and c has
// no user yet.
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

// AuthType returns AUTH_TYPE for a user whom a proxy or another part of this process has
// authenticated: the scheme of the Authorization field, "Basic" if there is none.
func AuthType(r *http.Request) string {
	if lines := r.Header["Authorization"]; len(lines) > 0 {
		if scheme, _, _ := strings.Cut(lines[0], " "); isToken(scheme) && !strings.EqualFold(scheme, "Basic") {
			return scheme
		}
	}
	return "Basic"
}

// refuse sets the reason why the request must not be served. The first reason is kept.
func (c *Client) refuse(format string, args ...any) {
	if c.Refused == nil {
		c.Refused = badRequest(format, args...)
	}
}

// peer sets c to the peer of the connection, and returns whether the peer is a trusted proxy.
func (m *Mapper) peer(c *Client, r *http.Request) (trusted bool) {
	if isUnix(r) {
		c.Addr = unixClient
		return m.trusted.unix
	}
	h, ok := parseHop(r.RemoteAddr)
	if !ok {
		// A handler in front has replaced RemoteAddr. It is passed on, never trusted.
		c.Addr = r.RemoteAddr
		return false
	}
	c.Addr, c.Port = h.text, h.port
	return m.trusted.has(h.addr)
}

// isUnix reports whether r came over a unix socket. It checks the listener first: on some
// systems the peer of a unix socket has no name, on Linux it is "@".
func isUnix(r *http.Request) bool {
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.UnixAddr); ok && local != nil {
		return true
	}
	return strings.HasPrefix(r.RemoteAddr, "@") || strings.HasPrefix(r.RemoteAddr, "/")
}

// hop is one address of X-Forwarded-For or Forwarded.
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
