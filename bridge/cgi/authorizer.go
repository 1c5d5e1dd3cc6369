package cgi

import (
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
)

// Guard says about which paths an authorizer is asked.
type Guard struct {
	all           bool // but for except
	paths, except Prefixes
}

// NewGuard checks the lists. Without paths, or with "/", the authorizer is asked about all but
// except. An error names the key.
func NewGuard(mount string, paths, except []string) (g Guard, err error) {
	g.all = len(paths) == 0 || slices.Contains(paths, "/")
	if g.all {
		paths = nil
	}
	if g.paths, err = NewPrefixes("authorizer.paths", mount, paths); err != nil {
		return g, err
	}
	g.except, err = NewPrefixes("authorizer.except", mount, except)
	return g, err
}

// Has reports whether the authorizer is asked about r. It is if the path may be read in more than
// one way: some applications cut off what follows ";", and take "\" for "/".
//
// A web server in front may have led the request to another path than the client asked for
// ([Received]). Then the authorizer is asked if it is to be asked about one of the two.
func (g *Guard) Has(r *http.Request) bool {
	p, err := CleanPath(r)
	if err != nil || g.has(p) {
		return true
	}
	v := ReceivedOf(r)
	return v != nil && v.document != "" && g.has(v.document)
}

func (g *Guard) has(p string) bool {
	if strings.ContainsAny(p, `;\`) {
		return true
	}
	if p = path.Clean(p); !g.all && !g.paths.Protects(p) {
		return false
	}
	return !g.except.Has(p)
}

// AuthorizerVars appends what an authorizer gets of r, in no particular order: the variables
// without those that say where the request leads, and without CONTENT_LENGTH (FastCGI
// specification, section 6.3). Of the request's header, it gets fields, in canonical form, and
// Host; everything if fields is empty. A refusal is a *RequestError.
func (m *Mapper) AuthorizerVars(dst []Var, r *http.Request, c *Client, fields []string) ([]Var, error) {
	if c.Refused != nil {
		return dst, c.Refused
	}
	p, err := CleanPath(r)
	if err != nil {
		return dst, err
	}
	if _, err := m.belowMount(p); err != nil {
		return dst, err
	}
	if len(fields) > 0 {
		r = withFields(r, fields)
	}
	b := builder{mapper: m, vars: dst}
	b.grow(p, "")
	b.request(r, r.URL.RawQuery, -1)
	b.server(r, c)
	b.client(c)
	b.configured(r)
	b.header(r, c)
	if b.err != nil {
		return dst, b.err
	}
	return slices.DeleteFunc(b.vars, func(v Var) bool { return notForAuthorizers[v.Name] }), nil
}

// CheckNames returns an error if one of fields is no name of a header field, or one of variables is
// not an authorizer's to set. It begins with the key.
func CheckNames(fields, variables []string) error {
	for _, name := range fields {
		if !isToken(name) {
			return fmt.Errorf("authorizer.fields: %q is no name of a header field", name)
		}
	}
	for _, name := range variables {
		if !grantable(name) {
			return fmt.Errorf("authorizer.variables: %q is not an authorizer's to set", name)
		}
	}
	return nil
}

// notForAuthorizers may be configured (Config.Env), and is for the application.
var notForAuthorizers = map[string]bool{"CONTENT_LENGTH": true, "PATH_INFO": true, "PATH_TRANSLATED": true, "SCRIPT_NAME": true}

// withFields returns r with no other header fields.
func withFields(r *http.Request, fields []string) *http.Request {
	short := *r
	short.Header = make(http.Header, len(fields))
	for _, name := range fields {
		if lines := r.Header[name]; len(lines) > 0 {
			short.Header[name] = lines
		}
	}
	return &short
}

// variablePrefix begins the names of the response fields with which an authorizer gives variables.
const variablePrefix = "variable-"

// IsVariableField reports whether a response field is for the web server: "Variable-NAME".
func IsVariableField(name string) bool {
	return len(name) > len(variablePrefix) && strings.EqualFold(name[:len(variablePrefix)], variablePrefix)
}

// ParseVariables returns the variables in the header of an authorizer's answer, which
// ParseResponse has accepted with status 200. Unlike fields of HTTP, variables have names with upper
// and lower case, so they are read from the header as it was sent. Of a variable that is there
// several times, the last one counts. Variables that cannot be granted are left out; refused says,
// for a log, what was wrong with the last of them, "" if nothing was.
//
// The error is that the header has no Status field and may be a message: "Error: no database". A
// program that fails before it has written its header must let nobody pass.
func ParseVariables(block []byte) (vars []Var, refused string, err error) {
	p := responseParser{rest: string(block)}
	status, message := false, ""
	for {
		line, ok := p.logicalLine()
		if !ok || line == "" {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		name = strings.TrimRight(name, " \t")
		switch {
		case strings.EqualFold(name, "Status"), strings.HasPrefix(line, "HTTP/"):
			status = true
		case !IsVariableField(name):
			if !strings.Contains(name, "-") && !plainFields[strings.ToLower(name)] {
				message = line
			}
		case !grantable(name[len(variablePrefix):]):
			refused = fmt.Sprintf("%.100q: an authorizer cannot set %.100q", line, name[len(variablePrefix):])
		default:
			vars = setVar(vars, Var{name[len(variablePrefix):], strings.Trim(value, " \t")})
		}
	}
	if message != "" && !status {
		return nil, refused, &HeaderError{Reason: fmt.Sprintf("%.100q may be a message, and there is no Status field", message)}
	}
	return vars, refused, nil
}

// plainFields are fields without a hyphen that an answer without a Status field may have.
var plainFields = map[string]bool{"date": true, "etag": true, "expires": true, "pragma": true, "server": true, "vary": true}

func setVar(vars []Var, v Var) []Var {
	for i := range vars {
		if vars[i].Name == v.Name {
			vars[i] = v
			return vars
		}
	}
	return append(vars, v)
}

// grantable reports whether an authorizer may set a variable. The names of a request's own
// variables stay this package's: a script must not be another one than was checked. HTTP_ is the
// client's: it could send the field itself when the authorizer does not set the variable.
func grantable(name string) bool {
	upper := strings.ToUpper(strings.ReplaceAll(name, "-", "_")) // as applications may read it
	return isToken(name) && !strings.Contains(name, "=") && !strings.HasPrefix(upper, "HTTP_") && !ownVars[upper]
}

// ownVars are set by this package alone, or have an effect on how PHP-FPM and FastCGI work.
var ownVars = map[string]bool{
	"CONTENT_LENGTH": true, "CONTENT_TYPE": true, "DOCUMENT_ROOT": true, "DOCUMENT_URI": true, "GATEWAY_INTERFACE": true,
	"HTTPS": true, "PATH_INFO": true, "PATH_TRANSLATED": true, "QUERY_STRING": true, "REDIRECT_STATUS": true,
	"REMOTE_ADDR": true, "REMOTE_HOST": true, "REMOTE_PORT": true, "REQUEST_METHOD": true, "REQUEST_SCHEME": true,
	"REQUEST_URI": true, "SCRIPT_FILENAME": true, "SCRIPT_NAME": true, "SERVER_ADDR": true, "SERVER_NAME": true,
	"SERVER_PORT": true, "SERVER_PROTOCOL": true, "SERVER_SOFTWARE": true, "SSL_CIPHER": true, "SSL_PROTOCOL": true,
	"FCGI_ROLE": true, "FCGI_WEB_SERVER_ADDRS": true, "PHP_ADMIN_VALUE": true, "PHP_VALUE": true, "PATH": true, "LD_PRELOAD": true, "LD_LIBRARY_PATH": true,
}

// Granted is what an authorizer has given a request.
type Granted struct {
	vars   []Var // in FastCGI
	fields []Var // in HTTP, by their canonical names
}

// Grant gives c the variables of an authorizer, and no other: those in names, all of them if names
// is empty. If user is true, its REMOTE_USER and AUTH_TYPE become those of c; otherwise they are
// dropped.
func (c *Client) Grant(vars []Var, names []string, user bool) {
	c.Granted = new(Granted)
	for _, v := range vars {
		switch identity := v.Name == "REMOTE_USER" || v.Name == "AUTH_TYPE"; {
		case identity && !user, !identity && len(names) > 0 && !slices.Contains(names, v.Name):
		case v.Name == "REMOTE_USER":
			c.User = v.Value
		case v.Name == "AUTH_TYPE":
			c.AuthType = v.Value
		default:
			c.Granted.vars = append(c.Granted.vars, v)
		}
	}
}

// has reports whether a variable is among those that an authorizer has given.
func (g *Granted) has(name string) bool {
	return g != nil && slices.ContainsFunc(g.vars, func(v Var) bool { return v.Name == name })
}

// granted emits what an authorizer has given. Of a configured variable, the configured value holds.
func (b *builder) granted(c *Client) {
	if c.Granted == nil {
		return
	}
	for _, v := range c.Granted.vars {
		b.put(v.Name, v.Value)
	}
	for _, f := range c.Granted.fields {
		b.put(b.mapper.granted.reserved[f.Name], f.Value)
	}
}
