package cgi

import (
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/http1"
)

// UsualGrantedFields are the fields in which oauth2-proxy and Authelia say who the user is.
var UsualGrantedFields = []string{
	"X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Groups", "X-Auth-Request-Preferred-Username",
	"Remote-User", "Remote-Groups", "Remote-Email", "Remote-Name",
}

// userFields name the user in an authorizer's answer. The first that is there counts.
var userFields = []string{"Remote-User", "X-Auth-Request-User"}

// grantedFields are the fields that an authorizer may give in HTTP. It is empty if there is no such
// authorizer.
type grantedFields struct {
	names     []string          // what the application gets, in canonical form
	reserved  map[string]string // the variables of all fields that are never the client's, by name
	variables map[string]bool   // the same variables
}

func newGrantedFields(list []string) (g grantedFields, err error) {
	if len(list) == 0 {
		return g, nil
	}
	g.reserved, g.variables = make(map[string]string), make(map[string]bool)
	for _, text := range list {
		key := textproto.CanonicalMIMEHeaderKey(text)
		if !passable(key) || isForwarded(key) || headerVars[key].rule != pass {
			return g, fmt.Errorf("authorizer.variables: %q is not an authorizer's to give: want names of fields of its answer, such as X-Auth-Request-User", text)
		}
		g.names = append(g.names, key)
	}
	for _, key := range slices.Concat(g.names, UsualGrantedFields) {
		name := "HTTP_" + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
		g.reserved[key], g.variables[name] = name, true
	}
	return g, nil
}

// GrantFields gives c the fields of Config.GrantedFields that are in the header of an authorizer's
// answer, and no others. If user is true, the user's name is that of Remote-User or
// X-Auth-Request-User, if there is one.
func (m *Mapper) GrantFields(c *Client, said http.Header, user bool) {
	c.Granted = new(Granted)
	for _, key := range m.granted.names {
		if value := strings.Join(said[key], ", "); value != "" {
			c.Granted.fields = append(c.Granted.fields, Var{key, value})
		}
	}
	for _, key := range userFields {
		if name := said.Get(key); user && name != "" {
			c.User = name
			return
		}
	}
}

// granted passes what an authorizer has given in HTTP. The field of Config.PassUser has the user.
func (b *httpBuilder) granted(c *Client) {
	if c.Granted == nil {
		return
	}
	for _, f := range c.Granted.fields {
		if f.Name != b.mapper.passUser {
			b.put(f.Name, f.Value)
		}
	}
}

// AuthorizerHTTP sets dst to what an authorizer is asked about r in HTTP: GET, without a body, for
// target, or the target of r if that is "". Of the request's header it gets fields, in canonical
// form, everything if fields is empty. What is about the body, or makes the answer depend on what
// the client has of the page, is not passed. The host is that of r. A refusal is a *RequestError.
//
// What is asked about is said in X-Original-URI, -URL and -Method, as in the usual configurations
// of nginx, in X-Forwarded-Uri and -Method, as by Traefik, and in the fields of HTTP.
func (m *Mapper) AuthorizerHTTP(dst *http1.Request, r *http.Request, c *Client, target string, fields []string) error {
	*dst = http1.Request{Fields: dst.Fields[:0]}
	if c.Refused != nil {
		return c.Refused
	}
	p, err := CleanPath(r)
	if err != nil {
		return err
	}
	if _, err := m.belowMount(p); err != nil {
		return err
	}
	if len(fields) > 0 {
		r = withFields(r, fields)
	}
	uri := askedTarget(r, p)
	dst.Method, dst.Target = http.MethodGet, or(target, uri)
	b := httpBuilder{mapper: m, dst: dst}
	b.header(r, c)
	dst.Fields = slices.DeleteFunc(dst.Fields, func(f http1.Field) bool {
		// As the authorizer may read it: a field with "_" may be one that is passed (UnderscoreHeaders).
		return notAsked[textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(f.Name, "_", "-"))]
	})
	b.forwarded(r, c)
	if c.Addr != unixClient {
		b.put("X-Real-IP", c.Addr)
	}
	method := or(r.Method, http.MethodGet)
	b.put("X-Forwarded-Method", method)
	b.put("X-Forwarded-Uri", uri)
	b.put("X-Original-Method", method)
	b.put("X-Original-URI", uri)
	b.put("X-Original-URL", c.Scheme+"://"+dst.Host+uri)
	return b.err
}

// askedTarget returns the path and query that the client of r has asked for, for which CleanPath has
// returned p, without dot segments. It is the same whether a handler in front has changed the URL or not: a
// prefix that it has cut off is there in both cases, or "/app/x/../admin" would be asked about as "/admin".
func askedTarget(r *http.Request, p string) string {
	uri := requestURI(r)
	if isTargetOf(r.URL, uri) {
		return cleanTarget(r, p)
	}
	asked, query, _ := strings.Cut(uri, "?")
	if asked, err := url.PathUnescape(asked); err == nil && hasDotSegment(asked) {
		return (&url.URL{Path: withoutDots(asked), RawQuery: query}).RequestURI()
	}
	return uri
}

// notAsked are fields that an authorizer does not get from a client: Sluice writes them itself, or
// they have no meaning for a question.
var notAsked = map[string]bool{
	"X-Forwarded-Method": true, "X-Forwarded-Uri": true, "X-Original-Method": true, "X-Original-Uri": true,
	"X-Original-Url": true, "X-Real-Ip": true,
	"Content-Encoding": true, "Content-Language": true, "Content-Location": true, "Content-Md5": true,
	"Content-Range": true, "Content-Type": true, "Content-Digest": true, "Digest": true,
	"If-Match": true, "If-Modified-Since": true, "If-None-Match": true, "If-Range": true, "If-Unmodified-Since": true, "Range": true,
}
