package cgi

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
)

// authorizerVars returns what an authorizer gets, by name.
func authorizerVars(t *testing.T, m *Mapper, raw string, fields ...string) map[string]string {
	t.Helper()
	r := request(t, raw)
	list, err := m.AuthorizerVars(nil, r, new(m.Client(r)), fields)
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]string)
	for _, v := range list {
		byName[v.Name] = v.Value
	}
	if len(byName) != len(list) {
		t.Errorf("a name is there twice: %v", list)
	}
	return byName
}

// FastCGI specification, section 6.3: no CONTENT_LENGTH, PATH_INFO, PATH_TRANSLATED, SCRIPT_NAME.
func TestAuthorizerVars(t *testing.T) {
	m := newMapper(t, Config{Mount: "/app", Software: "sluice/1.0", Env: map[string]string{"HTTPS": "on", "PATH_INFO": "/configured"}})
	const raw = `POST /app/a?b=c HTTP/1.1
Host: example.org
Content-Type: text/plain
Content-Length: 5
Cookie: session=1
Authorization: Bearer x
X-Forwarded-For: 192.0.2.99
Accept: */*`
	want := map[string]string{
		"GATEWAY_INTERFACE": "CGI/1.1", "SERVER_SOFTWARE": "sluice/1.0", "SERVER_PROTOCOL": "HTTP/1.1",
		"SERVER_NAME": "example.org", "SERVER_PORT": "80", "REQUEST_SCHEME": "http", "HTTPS": "on",
		"REQUEST_METHOD": "POST", "REQUEST_URI": "/app/a?b=c", "QUERY_STRING": "b=c", "CONTENT_TYPE": "text/plain",
		"REMOTE_ADDR": "192.0.2.7", "REMOTE_HOST": "192.0.2.7", "REMOTE_PORT": "51234",
		"HTTP_HOST": "example.org", "HTTP_COOKIE": "session=1", "HTTP_AUTHORIZATION": "Bearer x", "HTTP_ACCEPT": "*/*",
	}
	if got := authorizerVars(t, m, raw); !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	delete(want, "HTTP_ACCEPT")
	delete(want, "HTTP_AUTHORIZATION")
	delete(want, "CONTENT_TYPE")
	if got := authorizerVars(t, m, raw, "Cookie", "X-Forwarded-For"); !maps.Equal(got, want) {
		t.Errorf("of Cookie and X-Forwarded-For: got %v\nwant %v", got, want)
	}
}

// The authorizer is asked before it is looked whether there is a script: who may see nothing does
// not learn what is there. What is hidden or malformed is refused without it.
func TestAuthorizerVarsOfNothing(t *testing.T) {
	root := t.TempDir()
	m := newMapper(t, Config{Preset: PresetPHP, Root: root, Hide: []string{"/data"}})
	authorizerVars(t, m, "GET /nothing.php HTTP/1.1\nHost: example.org")
	for target, want := range map[string]int{"/data/x": 404, "/../x": 400} {
		r := get(t, target)
		_, err := m.AuthorizerVars(nil, r, new(m.Client(r)), nil)
		if refused, ok := errors.AsType[*RequestError](err); !ok || refused.Status != want {
			t.Errorf("%s: %v, want %d", target, err, want)
		}
	}
	refused := &RequestError{Status: 401}
	if _, err := m.AuthorizerVars(nil, get(t, "/x.php"), &Client{Refused: refused}, nil); err != refused {
		t.Error(err)
	}
}

func TestGuard(t *testing.T) {
	for _, c := range []struct {
		mount         string
		paths, except []string
		asked, free   []string
	}{
		{"", nil, nil, []string{"/", "/x", "/x.css", "/%"}, nil},
		{"", []string{"/"}, []string{"/login"}, []string{"/", "/loginx", "/x/login", "/login/../x", "/login;/../x", `/login\..\x`}, []string{"/login", "/login/x", "//login", "/x/../login"}},
		{"", []string{"/admin"}, nil, []string{"/admin", "/admin/x", "//admin", "/x/../admin", "/index.php/admin/x", "/admin;a=b", "/x;a/y"}, []string{"/", "/x", "/administrator"}},
		{"/wiki", []string{"/admin"}, []string{"/admin/help"}, []string{"/wiki/admin", "/admin", "/wiki/admin/x"}, []string{"/wiki", "/wiki/x", "/wiki/admin/help"}},
	} {
		g, err := NewGuard(c.mount, c.paths, c.except)
		if err != nil {
			t.Fatal(err)
		}
		for _, target := range c.asked {
			if !has(t, &g, target) {
				t.Errorf("paths %q except %q: not asked about %s", c.paths, c.except, target)
			}
		}
		for _, target := range c.free {
			if has(t, &g, target) {
				t.Errorf("paths %q except %q: asked about %s", c.paths, c.except, target)
			}
		}
	}
	for _, bad := range []string{"admin", "/a*", "/a%20b", "/a\n"} {
		if _, err := NewGuard("", []string{bad}, nil); err == nil || !strings.Contains(err.Error(), "authorizer.paths") {
			t.Errorf("%q: %v", bad, err)
		}
		if _, err := NewGuard("", nil, []string{bad}); err == nil || !strings.Contains(err.Error(), "authorizer.except") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := NewGuard("", nil, []string{"/"}); err == nil {
		t.Error("everything is excepted")
	}
}

func has(t *testing.T, g *Guard, path string) bool {
	t.Helper()
	r := get(t, "/")
	r.URL.Path, r.RequestURI = path, path
	return g.Has(r)
}

func TestParseVariables(t *testing.T) {
	for header, want := range map[string]string{
		"\n":                                     "[] ",
		"Status: 200\nContent-Type: a\n\n":       "[] ",
		"Variable-REMOTE_USER: jane\r\n\r\n":     "[{REMOTE_USER jane}] ",
		"variable-Shib-Session-ID:_1 \n\n":       "[{Shib-Session-ID _1}] ",
		"VARIABLE-eppn: a\nVariable-EPPN: b\n\n": "[{eppn a} {EPPN b}] ",
		"Variable-a: 1\nVariable-a: 2\n\n":       "[{a 2}] ",
		"Variable-a: 1\n 2\nX-Y: y\n\n":          "[{a 1 2}] ",
		"Variable-a:\n\n":                        "[{a }] ",
		"Variable-: x\n\n":                       "[] ",
		"Variable-a : x\n\n":                     "[{a x}] ",
	} {
		vars, refused, err := ParseVariables([]byte(header))
		if got := sprint(vars, refused); got != want || err != nil {
			t.Errorf("%q: %s, %v, want %s", header, got, err, want)
		}
	}
	for _, name := range []string{
		"HTTP_X", "http_x", "HTTP-X", "Http_Cookie", "SCRIPT_FILENAME", "script-filename", "PHP_VALUE", "PHP-ADMIN_VALUE", "CONTENT_LENGTH", "PATH_INFO", "REMOTE_ADDR", "HTTPS",
	} {
		vars, refused, _ := ParseVariables([]byte("Variable-" + name + ": x\nVariable-b: c\n\n"))
		if len(vars) != 1 || vars[0].Name != "b" || !strings.Contains(refused, name) {
			t.Errorf("%s: %v, %q", name, vars, refused)
		}
	}
}

// A program that fails before it has written its header lets nobody pass, although its message looks
// like a field.
func TestMessageOfAnAuthorizer(t *testing.T) {
	for header, want := range map[string]bool{
		"Error: no database\n\n":                                 false,
		"Variable-REMOTE_USER: jane\nWarning: x at y line 3\n\n": false,
		"panic: runtime error\n\n":                               false,
		"Status: 200 OK\nWarning: 199 - x\n\n":                   true,
		"HTTP/1.1 200 OK\nWarning: 199 - x\n\n":                  true,
		// What PHP sends with each answer is no message.
		"Content-Type: text/html\nX-Powered-By: PHP\nSet-Cookie: a=b\nExpires: 0\nDate: x\n\n": true,
	} {
		if _, _, err := ParseVariables([]byte(header)); (err == nil) != want {
			t.Errorf("%q: %v", header, err)
		}
	}
}

func sprint(vars []Var, refused string) string {
	var b strings.Builder
	b.WriteString("[")
	for i, v := range vars {
		if i > 0 {
			b.WriteString(" ")
		}
		b.WriteString("{" + v.Name + " " + v.Value + "}")
	}
	return b.String() + "] " + refused
}

// The application gets what the authorizer has given; what is configured wins, and a client's
// fields have other names.
func TestGrant(t *testing.T) {
	given := []Var{{"REMOTE_USER", "jane"}, {"AUTH_TYPE", "shibboleth"}, {"eppn", "jane@example.org"}, {"Shib-Session-ID", "_1"}, {"FIXED", "not this"}}
	m := newMapper(t, Config{Env: map[string]string{"FIXED": "this"}})
	r := request(t, "GET / HTTP/1.1\nHost: example.org\nEppn: root\nRemote-User: root\nVariable-Eppn: root")
	for name, c := range map[string]struct {
		names []string
		user  bool
		want  map[string]string
	}{
		"all":          {nil, true, map[string]string{"REMOTE_USER": "jane", "AUTH_TYPE": "shibboleth", "eppn": "jane@example.org", "Shib-Session-ID": "_1", "FIXED": "this"}},
		"not the user": {nil, false, map[string]string{"REMOTE_USER": "", "AUTH_TYPE": "", "eppn": "jane@example.org", "Shib-Session-ID": "_1", "FIXED": "this"}},
		"some":         {[]string{"eppn"}, true, map[string]string{"REMOTE_USER": "jane", "AUTH_TYPE": "shibboleth", "eppn": "jane@example.org", "Shib-Session-ID": "", "FIXED": "this"}},
	} {
		who := m.Client(r)
		who.Grant(slices.Clone(given), c.names, c.user)
		list, err := m.Vars(nil, r, &who, 0)
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[string]string)
		for _, v := range list {
			if _, twice := got[v.Name]; twice {
				t.Errorf("%s: %s is there twice", name, v.Name)
			}
			got[v.Name] = v.Value
		}
		for key, want := range c.want {
			if got[key] != want {
				t.Errorf("%s: %s is %q, want %q", name, key, got[key], want)
			}
		}
		if got["HTTP_EPPN"] != "root" || got["HTTP_REMOTE_USER"] != "root" || got["HTTP_VARIABLE_EPPN"] != "root" {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Of a request that a web server has sent, both paths count, and what an authorizer gives replaces
// what came.
func TestAuthorizerOfReceived(t *testing.T) {
	v := &Received{Vars: []Var{
		{"REQUEST_URI", "/public"},
		{"SCRIPT_NAME", "/admin.php"},
		{"REQUEST_METHOD", "GET"},
		{"REMOTE_ADDR", "192.0.2.7"},
		{"HTTP_HOST", "example.org"},
		{"eppn", "web server's"},
		{"REMOTE_USER", "web server's"},
		{"kept", "yes"},
	}}
	r, err := v.Request(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{"/admin.php": true, "/public": true, "/other": false} {
		g, err := NewGuard("", []string{path}, nil)
		if err != nil || g.Has(r) != want {
			t.Errorf("%s: %t, %v", path, g.Has(r), err)
		}
	}
	m := newMapper(t, Config{})
	who := m.Client(r)
	who.Grant([]Var{{"eppn", "authorizer's"}, {"REMOTE_USER", "jane"}}, nil, true)
	list, err := m.Vars(nil, r, &who, 0)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, v := range list {
		if _, twice := got[v.Name]; twice {
			t.Errorf("%s is there twice", v.Name)
		}
		got[v.Name] = v.Value
	}
	if got["eppn"] != "authorizer's" || got["REMOTE_USER"] != "jane" || got["kept"] != "yes" {
		t.Errorf("%v", got)
	}
}

// Whatever an authorizer writes, no variable of the request's own is among what it gives.
func FuzzParseVariables(f *testing.F) {
	f.Add([]byte("Variable-A: b\nVariable-HTTP_X: c\n d\n\n"))
	f.Add([]byte("variable-SCRIPT-NAME: b\r\nVariable-\x00: c\n\n"))
	f.Fuzz(func(t *testing.T, block []byte) {
		vars, _, err := ParseVariables(block)
		if err != nil && len(vars) > 0 {
			t.Fatalf("%q, %v", vars, err)
		}
		seen := make(map[string]bool)
		for _, v := range vars {
			upper := strings.ToUpper(strings.ReplaceAll(v.Name, "-", "_"))
			if seen[v.Name] || !isToken(v.Name) || strings.HasPrefix(upper, "HTTP_") || ownVars[upper] || strings.ContainsAny(v.Value, "\n") {
				t.Fatalf("%q", v)
			}
			seen[v.Name] = true
		}
	})
}
