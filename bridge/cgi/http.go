package cgi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/http1"
)

// HTTP sets dst to r as an application is sent it that speaks HTTP itself. The refusals are
// those of Vars. contentLength is as in Vars. The memory of dst.Fields is used again.
//
// Everything is written anew: which fields are passed is decided as for HTTP_* variables, so
// what belongs to the connection is not passed, nor what only trusted proxies may say. Then
// come X-Forwarded-For, -Proto, -Host and -Port, as c has them and not as a proxy has written
// them, and the user, in the field of Config.PassUser.
func (m *Mapper) HTTP(dst *http1.Request, r *http.Request, c *Client, contentLength int64) error {
	*dst = http1.Request{Fields: dst.Fields[:0]}
	if c.Refused != nil {
		return c.Refused
	}
	at, err := m.locate(r)
	if err != nil {
		return err
	}
	rest, err := m.belowMount(at.path)
	if err == nil {
		err = m.withoutFile(r, at.path, rest)
	}
	if err != nil {
		return err
	}
	if _, err := m.resolve(r, rest); err != nil {
		return err
	}
	dst.Method, dst.Target, dst.Length = or(r.Method, http.MethodGet), at.target(r), contentLength
	b := httpBuilder{mapper: m, dst: dst}
	b.header(r, c)
	b.forwarded(r, c)
	b.granted(c)
	c.Grip.fields(func(name, _, value string) { b.put(name, value) })
	if upgrade := Upgrade(r); upgrade != "" && contentLength == 0 {
		dst.Upgrade = upgrade
	}
	return b.err
}

// target returns where r leads to as an application is asked for it. If a handler in front has changed
// the URL, that is what counts, as it does for what is hidden and for whom an authorizer lets pass.
func (at *place) target(r *http.Request) string {
	switch u := r.URL; {
	case at.rewritten:
		return (&url.URL{Path: at.path, RawQuery: at.query}).RequestURI()
	case (at.path == u.Path || u.Path == "") && !isTargetOf(u, requestURI(r)):
		return (&url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: printable(u.RawQuery), ForceQuery: u.ForceQuery}).RequestURI()
	}
	return cleanTarget(r, at.path)
}

// isTargetOf reports whether uri, a path and query as a client has written them, leads to u.
func isTargetOf(u *url.URL, uri string) bool {
	p, query, _ := strings.Cut(uri, "?")
	p, err := url.PathUnescape(p)
	return err == nil && p == or(u.Path, "/") && query == u.RawQuery
}

// cleanTarget returns the path and query of r, for which CleanPath has returned p, without dot
// segments, of which whoever is sent them makes what it likes.
func cleanTarget(r *http.Request, p string) string {
	if p == r.URL.Path || r.URL.Path == "" {
		return requestURI(r)
	}
	return (&url.URL{Path: p, RawQuery: r.URL.RawQuery, ForceQuery: r.URL.ForceQuery}).RequestURI()
}

// httpBuilder collects the fields of one request.
type httpBuilder struct {
	mapper *Mapper
	dst    *http1.Request
	err    error // the first refusal
}

func (b *httpBuilder) put(name, value string) {
	if hasBreak(value) && b.err == nil {
		b.err = badRequest("%s %.200q holds NUL, CR or LF", name, value)
	}
	b.dst.Fields = append(b.dst.Fields, http1.Field{Name: name, Value: value})
}

// header passes the fields of the client that may be passed.
func (b *httpBuilder) header(r *http.Request, c *Client) {
	m := b.mapper
	named := namedByConnection(r.Header, c.Trusted, m.userHeader)
	for key, lines := range r.Header {
		if len(lines) == 0 || named[key] || m.underscored.hyphenated[key] || key == m.passUser || key == m.userHeader || m.granted.reserved[key] != "" || c.Grip.reserves(key) {
			continue
		}
		v, known := headerVars[key]
		if !known {
			v.rule = m.unlisted(key)
		}
		switch {
		case key == "Content-Type":
			b.put(key, lines[0])
		case v.rule == drop, v.rule == credentials && c.Verified,
			v.rule == forwarded && (!c.Trusted || slices.Contains(rewritten, key)):
		case v.rule == cookie:
			b.put(key, strings.Join(lines, "; ")) // RFC 9113 section 8.2.3
		default:
			for _, line := range lines {
				b.put(key, line)
			}
		}
	}
}

// rewritten are the fields about the client whose content is written anew.
var rewritten = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto"}

// unlisted is the rule for a field that is not in the table.
func (m *Mapper) unlisted(key string) rule {
	switch {
	case passable(key) && strings.HasPrefix(key, "X-Forwarded-"):
		return forwarded
	case passable(key), m.underscored.names[key] != "":
		return pass
	}
	m.dropped(key)
	return drop
}

// forwarded says who the client is and what it has requested.
func (b *httpBuilder) forwarded(r *http.Request, c *Client) {
	host, name, port := requested(r, c, func() (addr, port string) {
		addr, port = new(builder).localAddr(r)
		if strings.Contains(addr, ":") {
			addr = "[" + addr + "]"
		}
		return addr, port
	})
	b.dst.Host = or(host, name)
	if c.Addr != unixClient {
		b.put("X-Forwarded-For", c.Addr)
	}
	b.put("X-Forwarded-Proto", c.Scheme)
	b.put("X-Forwarded-Host", b.dst.Host)
	b.put("X-Forwarded-Port", port)
	if c.User != "" && b.mapper.passUser != "" {
		b.put(b.mapper.passUser, c.User)
	}
}

// Upgrade returns "websocket" if a client of HTTP/1.1 asks to go on with that (RFC 6455
// section 4.1), else "". Other protocols are not passed on: h2c would let requests through
// that nobody has looked at.
func Upgrade(r *http.Request) string {
	const protocol = "websocket"
	if lines := r.Header["Upgrade"]; len(lines) != 1 || !strings.EqualFold(lines[0], protocol) ||
		r.ProtoMajor != 1 || r.ProtoMinor < 1 || r.Method != http.MethodGet {
		return ""
	}
	for _, line := range r.Header["Connection"] {
		for option := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.Trim(option, " \t"), "upgrade") {
				return protocol
			}
		}
	}
	return ""
}
