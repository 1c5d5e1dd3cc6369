package cgi

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// Received are the meta-variables of a request that a web server has sent in FastCGI or SCGI.
// A [Mapper] passes them to the application as they are. They are trusted: only the web server
// can connect to the socket that they came from.
type Received struct {
	Vars []Var // in their order; a name may occur more than once
	// Authorizer says that the application is asked whether the request is allowed (FastCGI,
	// section 6.3), and not for an answer.
	Authorizer bool

	user, authType string // REMOTE_USER, AUTH_TYPE
	document       string // SCRIPT_NAME and PATH_INFO
}

type receivedKey struct{}

// ReceivedOf returns the variables that r was made of by [Received.Request], nil if it was not.
func ReceivedOf(r *http.Request) *Received {
	v, _ := r.Context().Value(receivedKey{}).(*Received)
	return v
}

// Request returns the HTTP request that the variables describe. Its body is empty, and its
// ContentLength is CONTENT_LENGTH, or -1 if there is none. It knows of v: see ReceivedOf. ctx
// is the parent of its context.
//
// The target is REQUEST_URI. If that is missing or no target, it is SCRIPT_NAME, PATH_INFO and
// QUERY_STRING. The host is HTTP_HOST, else SERVER_NAME and SERVER_PORT. A CONTENT_LENGTH that
// is no number is an error.
func (v *Received) Request(ctx context.Context) (*http.Request, error) {
	r := &http.Request{
		Method: http.MethodGet, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header, len(v.Vars)), Body: http.NoBody, ContentLength: -1,
	}
	m := v.collect(r)
	if m.length != "" {
		n, err := strconv.ParseUint(m.length, 10, 63)
		if err != nil {
			return nil, badRequest("CONTENT_LENGTH %.40q is not a number", m.length)
		}
		r.ContentLength = int64(n)
	}
	if major, minor, ok := http.ParseHTTPVersion(m.protocol); ok {
		r.Proto, r.ProtoMajor, r.ProtoMinor = m.protocol, major, minor
	}
	v.document = m.script + m.pathInfo
	if err := m.setTarget(r, v.document); err != nil {
		return nil, err
	}
	m.setPeers(r)
	ctx = context.WithValue(ctx, receivedKey{}, v)
	if m.serverAddr.IsValid() {
		// What the application itself has sent to the web server is known by this address.
		ctx = context.WithValue(ctx, http.LocalAddrContextKey, net.TCPAddrFromAddrPort(m.serverAddr))
	}
	return r.WithContext(ctx), nil
}

// metaVars are the variables that are no fields of the request's header.
type metaVars struct {
	protocol, length               string
	uri, script, pathInfo, query   string
	host, serverName, serverPort   string
	remoteAddr, remotePort, scheme string
	serverAddr                     netip.AddrPort
}

// collect sorts the variables: the method and the header to r, REMOTE_USER and AUTH_TYPE to v.
// Of a name that occurs twice the last value holds, as it does for most applications. Fields
// are lines of a header that the client may have sent several times.
func (v *Received) collect(r *http.Request) (m metaVars) {
	var addr, https string
	for _, p := range v.Vars {
		switch p.Name {
		case "REQUEST_METHOD":
			r.Method = or(p.Value, http.MethodGet)
		case "SERVER_PROTOCOL":
			m.protocol = p.Value
		case "CONTENT_LENGTH":
			m.length = p.Value
		case "CONTENT_TYPE":
			if p.Value != "" {
				r.Header["Content-Type"] = []string{p.Value}
			}
		case "REQUEST_URI":
			m.uri = p.Value
		case "SCRIPT_NAME":
			m.script = p.Value
		case "PATH_INFO":
			m.pathInfo = p.Value
		case "QUERY_STRING":
			m.query = p.Value
		case "HTTP_HOST":
			m.host = p.Value
		case "SERVER_NAME":
			m.serverName = p.Value
		case "SERVER_PORT":
			m.serverPort = p.Value
		case "SERVER_ADDR":
			addr = p.Value
		case "REMOTE_ADDR":
			m.remoteAddr = p.Value
		case "REMOTE_PORT":
			m.remotePort = p.Value
		case "REMOTE_USER":
			v.user = p.Value
		case "AUTH_TYPE":
			v.authType = p.Value
		case "HTTPS":
			https = p.Value
		case "REQUEST_SCHEME":
			m.scheme = p.Value
		default:
			if key := fieldOf(p.Name); key != "" {
				r.Header[key] = append(r.Header[key], p.Value)
			}
		}
	}
	if https != "" { // "off" is what Microsoft's server says without TLS
		m.scheme = "http"
		if !strings.EqualFold(https, "off") && https != "0" {
			m.scheme = "https"
		}
	}
	if ip, err := netip.ParseAddr(addr); err == nil {
		if port, err := strconv.ParseUint(m.serverPort, 10, 16); err == nil {
			m.serverAddr = netip.AddrPortFrom(ip, uint16(port))
		}
	}
	return m
}

// setTarget sets the URL and the host. The web server has understood the target, so one that
// net/url does not is no reason to refuse the request.
func (m *metaVars) setTarget(r *http.Request, document string) error {
	r.RequestURI = m.uri
	u, err := url.ParseRequestURI(m.uri)
	if err != nil {
		if !strings.HasPrefix(document, "/") {
			return badRequest("REQUEST_URI %.200q is no target, and SCRIPT_NAME and PATH_INFO %.200q are no path", m.uri, document)
		}
		u = &url.URL{Path: document, RawQuery: m.query}
		r.RequestURI = u.RequestURI()
	}
	r.URL = u
	r.Host = or(m.host, u.Host)
	if r.Host == "" {
		r.Host = m.serverName
		if m.serverPort != "" && m.serverPort != defaultPort(or(m.scheme, "http")) {
			r.Host += ":" + m.serverPort
		}
	}
	return nil
}

// setPeers sets whom the request comes from, and how.
func (m *metaVars) setPeers(r *http.Request) {
	if m.scheme == "https" {
		r.TLS = &tls.ConnectionState{HandshakeComplete: true}
	}
	r.RemoteAddr = m.remoteAddr
	if _, err := netip.ParseAddr(m.remoteAddr); err == nil {
		r.RemoteAddr = net.JoinHostPort(m.remoteAddr, or(m.remotePort, "0"))
	}
}

// fields are the names of the usual fields, by their variables.
var fields = func() map[string]string {
	list := make(map[string]string, len(headerVars))
	for key, v := range headerVars {
		if v.name != "" {
			list[v.name] = key
		}
	}
	return list
}()

// fieldOf returns the field that a variable stands for, "" if that is none, or describes the
// connection between the client and the web server.
func fieldOf(name string) string {
	if key := fields[name]; key != "" {
		return key
	}
	rest, ok := strings.CutPrefix(name, "HTTP_")
	if !ok {
		return ""
	}
	key := textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(rest, "_", "-"))
	if headerVars[key].rule == drop || !passable(key) {
		return ""
	}
	return key
}

// received appends the variables of a request that came with its own. They are passed in their
// order, with these exceptions: CONTENT_LENGTH is the length of the body; what the configuration
// sets, Config.Env, or an authorizer has given, replaces what came by that name; a user that a front in this process has
// authenticated replaces the web server's; and HTTP_PROXY, which would configure the
// application's HTTP client, is dropped, as are fields that only an authorizer may give, and
// Config.UserHeader of a peer that is no trusted proxy.
func (m *Mapper) received(dst []Var, v *Received, r *http.Request, c *Client, contentLength int64) ([]Var, error) {
	if v.document != "" && len(m.hide.list) > 0 && m.hides(path.Clean(v.document)) {
		return dst, notFound("path %.200q is hidden", v.document)
	}
	b := builder{mapper: m, vars: dst}
	length, identified := contentLength < 0 || v.Authorizer, c.User == v.user
	for _, p := range v.Vars {
		if c.Granted.has(p.Name) || m.granted.variables[p.Name] || c.Grip.reservesVar(p.Name) || p.Name == m.userVar && !c.Trusted {
			continue
		}
		switch p.Name {
		case "HTTP_PROXY":
			continue
		case "HTTP_AUTHORIZATION":
			if c.Verified {
				continue
			}
		case "REMOTE_USER", "AUTH_TYPE":
			if !identified {
				continue
			}
		case "CONTENT_LENGTH":
			if length {
				continue
			}
			length = true
			if contentLength > 0 || p.Value != "" {
				p.Value = strconv.FormatInt(contentLength, 10)
			}
		}
		b.putOwn(p.Name, p.Value)
	}
	if !length && (contentLength > 0 || carriesBody(r.Method)) {
		b.putOwn("CONTENT_LENGTH", strconv.FormatInt(contentLength, 10))
	}
	if !identified && c.User != "" {
		b.put("REMOTE_USER", c.User)
		b.put("AUTH_TYPE", c.AuthType)
	}
	b.granted(c)
	c.Grip.fields(func(_, variable, value string) { b.put(variable, value) })
	b.configured(r)
	if b.err != nil {
		return dst, b.err
	}
	return b.vars, nil
}
