package cgi

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// Var is one CGI meta-variable.
type Var struct{ Name, Value string }

// Vars appends r's variables to dst, in no particular order. If the request is refused, the
// error is a *RequestError and dst is returned unchanged.
//
// contentLength is the body's length in bytes, negative if it is not known yet. CONTENT_LENGTH is
// set if there is a body, and to "0" for POST, PUT and PATCH without one, where applications
// expect a number. Otherwise it is absent, as RFC 3875 section 4.1.2 requires.
//
// A request that was received with variables ([Received]) keeps them, in their order.
func (m *Mapper) Vars(dst []Var, r *http.Request, c *Client, contentLength int64) ([]Var, error) {
	if c.Refused != nil {
		return dst, c.Refused
	}
	at, err := m.locate(r)
	if err != nil {
		return dst, err
	}
	rest, err := m.belowMount(at.path)
	if err == nil {
		err = m.withoutFile(r, at.path, rest)
	}
	if err != nil {
		return dst, err
	}
	if v := ReceivedOf(r); v != nil {
		return m.received(dst, v, r, c, contentLength)
	}
	if m.preset != PresetApp && m.dir == "" {
		return dst, notFound("path %.200q: there is no root, scripts come from the variables of a web server", at.path)
	}
	t, err := m.resolve(r, rest)
	if err != nil {
		return dst, err
	}
	b := builder{mapper: m, vars: dst}
	b.grow(at.path, t.root)
	b.location(at.path, t)
	b.request(r, joinQueries(t.query, at.query), contentLength)
	b.server(r, c)
	b.client(c)
	b.granted(c)
	b.configured(r)
	b.header(r, c)
	c.Grip.fields(func(_, variable, value string) { b.put(variable, value) })
	if b.err != nil {
		return dst, b.err
	}
	return b.vars, nil
}

// builder collects one request's variables.
type builder struct {
	mapper *Mapper
	vars   []Var
	err    error  // the first refusal
	host   string // HTTP_HOST

	// text holds the composed values. They are parts of one string, which costs one allocation:
	// the strings of a strings.Builder stay valid while it grows.
	text strings.Builder
}

// grow allocates room for SERVER_ADDR, CONTENT_LENGTH, some header names, and the values that
// repeat the path and the root.
func (b *builder) grow(p, root string) {
	n := 160
	if root != "" {
		n += 2*len(root) + 4*len(p)
	}
	b.text.Grow(n)
}

// put emits a variable whose value may come from the client.
func (b *builder) put(name, value string) {
	if hasBreak(value) && b.err == nil {
		b.err = badRequest("%s %.200q holds NUL, CR or LF", name, value)
	}
	b.putOwn(name, value)
}

// putOwn emits a variable whose value holds no NUL, CR or LF.
func (b *builder) putOwn(name, value string) {
	if len(b.mapper.env) > 0 {
		if _, configured := b.mapper.env[name]; configured {
			return
		}
	}
	b.vars = append(b.vars, Var{name, value})
}

// join returns the parts as one string.
func (b *builder) join(parts ...string) string {
	start := b.text.Len()
	for _, s := range parts {
		b.text.WriteString(s)
	}
	return b.text.String()[start:]
}

// configured emits the variables of Config.Env.
func (b *builder) configured(r *http.Request) {
	m := b.mapper
	if m.expand == nil {
		b.vars = append(b.vars, m.envVars...)
		return
	}
	for _, v := range m.envVars {
		value := m.expand(r, v.Value)
		if value != v.Value && hasBreak(value) && b.err == nil {
			b.err = badRequest("%s %.200q holds NUL, CR or LF", v.Name, value)
		}
		b.vars = append(b.vars, Var{v.Name, value})
	}
}

// joinQueries returns the query of a fallback, if there is one, and behind it that of the client.
func joinQueries(first, second string) string {
	if first == "" || second == "" {
		return first + second
	}
	return first + "&" + second
}

// location emits the variables of the path and the files. p is the path that the request leads to.
func (b *builder) location(p string, t resolved) {
	m := b.mapper
	scriptName, uri := m.mount, p
	if m.preset != PresetApp {
		// These are not parts of p, which may have empty segments or lack the index.
		uri = b.join(m.mount, t.script, t.pathInfo)
		scriptName = uri[:len(uri)-len(t.pathInfo)]
	}
	b.putOwn("SCRIPT_NAME", scriptName)
	b.putOwn("DOCUMENT_URI", uri)
	// A mounted application always gets PATH_INFO, even if it is empty. A script without one must
	// not get the variable: PHP would shorten the script's name by it (CVE-2019-11043).
	if m.preset == PresetApp || t.pathInfo != "" {
		b.putOwn("PATH_INFO", t.pathInfo)
	}
	if t.root == "" {
		return
	}
	b.putOwn("DOCUMENT_ROOT", t.root)
	dir := strings.TrimSuffix(t.root, "/")
	if t.pathInfo != "" {
		b.putOwn("PATH_TRANSLATED", b.join(dir, t.pathInfo))
	}
	if m.preset == PresetApp {
		return
	}
	b.putOwn("SCRIPT_FILENAME", b.join(dir, t.script))
	b.putOwn("REDIRECT_STATUS", "200") // php-cgi's cgi.force_redirect
}

func (b *builder) request(r *http.Request, query string, contentLength int64) {
	b.putOwn("GATEWAY_INTERFACE", "CGI/1.1")
	b.put("REQUEST_METHOD", or(r.Method, http.MethodGet))
	b.put("REQUEST_URI", requestURI(r))
	b.put("QUERY_STRING", query)
	b.put("SERVER_PROTOCOL", or(r.Proto, "HTTP/1.1"))
	if ct := r.Header["Content-Type"]; len(ct) > 0 {
		b.put("CONTENT_TYPE", ct[0])
	}
	switch {
	case contentLength > 0:
		var digits [20]byte
		start := b.text.Len()
		b.text.Write(strconv.AppendInt(digits[:0], contentLength, 10))
		b.putOwn("CONTENT_LENGTH", b.text.String()[start:])
	case contentLength == 0 && carriesBody(r.Method):
		b.putOwn("CONTENT_LENGTH", "0")
	}
}

func carriesBody(method string) bool {
	return method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch
}

// requestURI returns the path and query as the client wrote them. Of a URL in absolute form it
// returns the part after the authority, as Apache and nginx do.
func requestURI(r *http.Request) string {
	uri := r.RequestURI
	if uri == "" {
		return r.URL.RequestURI() // not received by a server
	}
	if uri[0] == '/' {
		return uri
	}
	_, afterScheme, ok := strings.Cut(uri, "://")
	if !ok {
		return uri
	}
	end := strings.IndexAny(afterScheme, "/?")
	switch {
	case end < 0:
		return "/"
	case afterScheme[end] == '?':
		return "/" + afterScheme[end:]
	}
	return afterScheme[end:]
}

// server emits the name, port and scheme by which the client knows this server. SERVER_PORT comes
// from the Host field, like SERVER_NAME: links with the port of this connection would be wrong
// behind a proxy.
func (b *builder) server(r *http.Request, c *Client) {
	b.putOwn("SERVER_SOFTWARE", b.mapper.software)
	addr, localPort := b.localAddr(r)
	if addr != "" {
		b.putOwn("SERVER_ADDR", addr)
	}
	var name, port string
	b.host, name, port = requested(r, c, func() (string, string) { return addr, localPort })
	b.put("SERVER_NAME", name)
	b.putOwn("SERVER_PORT", port)
	if c.Scheme == "https" {
		b.putOwn("HTTPS", "on")
		b.putOwn("REQUEST_SCHEME", "https")
		b.secure(r, c)
		return
	}
	b.putOwn("REQUEST_SCHEME", "http")
}

// requested returns what the client takes this server for: the host with its port as it is
// written, "" if there is none, and its name and port, which are never empty. local returns the
// address that the client connected to.
func requested(r *http.Request, c *Client, local func() (addr, port string)) (host, name, port string) {
	host = or(c.Host, r.Host)
	name, port, _ = splitHost(host)
	switch {
	case name == "":
		name, port = local()
		name = or(name, "localhost")
	case c.Host == "" && port != "" && (c.Scheme == "https") != (r.TLS != nil):
		// A proxy received the request with another scheme. If Host has the port of this
		// listener, it is this server's address for the proxy, not for clients.
		if _, localPort := local(); port == localPort {
			host, port = name, ""
		}
	}
	return host, name, or(port, defaultPort(c.Scheme))
}

// localAddr returns the address and port that the client connected to, "" on a unix socket.
func (b *builder) localAddr(r *http.Request) (addr, port string) {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(interface{ AddrPort() netip.AddrPort })
	if !ok {
		return "", ""
	}
	ap := local.AddrPort()
	if !ap.IsValid() {
		return "", ""
	}
	var space [64]byte
	start := b.text.Len()
	b.text.Write(ap.Addr().Unmap().WithZone("").AppendTo(space[:0]))
	end := b.text.Len()
	b.text.Write(strconv.AppendUint(space[:0], uint64(ap.Port()), 10))
	s := b.text.String()
	return s[start:end], s[end:]
}

func (b *builder) client(c *Client) {
	b.put("REMOTE_ADDR", c.Addr)
	b.putOwn("REMOTE_HOST", c.Addr) // RFC 3875 section 4.1.9: the address where no name is looked up
	if c.Port != "" {
		b.put("REMOTE_PORT", c.Port)
	}
	if c.User != "" {
		b.put("REMOTE_USER", c.User)
	}
	if c.AuthType != "" {
		b.put("AUTH_TYPE", c.AuthType)
	}
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
