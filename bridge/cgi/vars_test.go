package cgi

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"testing"
)

func TestVarsOfAnApplication(t *testing.T) {
	m := newMapper(t, Config{Mount: "/sandbox", Software: "sluice/1.0", Env: map[string]string{"TRAC_ENV": "/srv/trac"}})
	r := request(t, `POST /sandbox/wiki/A%20B?action=edit&x=%2F HTTP/1.1
Host: trac.example.org:8080
User-Agent: test
Content-Type: text/plain
Content-Length: 5
Cookie: a=1
Cookie: b=2
Accept: text/html
Accept: */*
Authorization: Basic dTpw`)
	local := &net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.1"), Port: 8080}
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local))
	want := map[string]string{
		"GATEWAY_INTERFACE":  "CGI/1.1",
		"SERVER_SOFTWARE":    "sluice/1.0",
		"SERVER_PROTOCOL":    "HTTP/1.1",
		"SERVER_NAME":        "trac.example.org",
		"SERVER_PORT":        "8080",
		"SERVER_ADDR":        "192.0.2.1",
		"REQUEST_METHOD":     "POST",
		"REQUEST_SCHEME":     "http",
		"REQUEST_URI":        "/sandbox/wiki/A%20B?action=edit&x=%2F",
		"DOCUMENT_URI":       "/sandbox/wiki/A B",
		"SCRIPT_NAME":        "/sandbox",
		"PATH_INFO":          "/wiki/A B",
		"QUERY_STRING":       "action=edit&x=%2F",
		"CONTENT_TYPE":       "text/plain",
		"CONTENT_LENGTH":     "5",
		"REMOTE_ADDR":        "192.0.2.7",
		"REMOTE_HOST":        "192.0.2.7",
		"REMOTE_PORT":        "51234",
		"HTTP_HOST":          "trac.example.org:8080",
		"HTTP_USER_AGENT":    "test",
		"HTTP_COOKIE":        "a=1; b=2",
		"HTTP_ACCEPT":        "text/html, */*",
		"HTTP_AUTHORIZATION": "Basic dTpw",
		"TRAC_ENV":           "/srv/trac",
	}
	if got := vars(t, m, r, 5); !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// The example of RFC 3875 sections 4.1.5, 4.1.6 and 4.1.13.
func TestVarsOfTheSpecification(t *testing.T) {
	root := t.TempDir()
	writeFile(t, root, "cgi-bin/somescript", 0o755)
	m := newMapper(t, Config{Preset: PresetCGI, Root: root})
	r := request(t, "GET /cgi-bin/somescript/this%2eis%2epath%3binfo?a=b HTTP/1.0\nHost: somehost.com")
	wantVars(t, vars(t, m, r, 0), map[string]string{
		"SERVER_NAME":     "somehost.com",
		"SERVER_PORT":     "80",
		"SERVER_PROTOCOL": "HTTP/1.0",
		"SCRIPT_NAME":     "/cgi-bin/somescript",
		"PATH_INFO":       "/this.is.path;info",
		"PATH_TRANSLATED": root + "/this.is.path;info",
		"QUERY_STRING":    "a=b",
		"CONTENT_LENGTH":  absent,
		"CONTENT_TYPE":    absent,
		"AUTH_TYPE":       absent,
		"REMOTE_USER":     absent,
	})
}

func TestContentLength(t *testing.T) {
	m := newMapper(t, Config{})
	for _, test := range []struct {
		method string
		length int64
		want   string
	}{
		{"GET", 0, absent},
		{"HEAD", 0, absent},
		{"DELETE", 0, absent},
		{"DELETE", 3, "3"},
		{"POST", 0, "0"},
		{"PUT", 0, "0"},
		{"PATCH", 0, "0"},
		{"POST", -1, absent},
		{"POST", 1 << 62, "4611686018427387904"},
	} {
		got := vars(t, m, request(t, test.method+" / HTTP/1.1\nHost: example.org"), test.length)
		t.Logf("%s with %d bytes", test.method, test.length)
		wantVars(t, got, map[string]string{"CONTENT_LENGTH": test.want, "HTTP_CONTENT_LENGTH": absent})
	}
}

func TestRequestURI(t *testing.T) {
	m := newMapper(t, Config{})
	for _, test := range []struct{ target, want, path string }{
		{"/", "/", "/"},
		{"/a%20b/%C3%A9?x=%0A", "/a%20b/%C3%A9?x=%0A", "/a b/é"},
		{"/?", "/?", "/"},
		{"//a//b", "//a//b", "//a//b"},
		{"/a/../b", "/a/../b", "/b"},
		{"http://example.org", "/", "/"},
		{"http://example.org?q", "/?q", "/"},
		{"http://example.org/a?q", "/a?q", "/a"},
	} {
		got := vars(t, m, get(t, test.target), 0)
		wantVars(t, got, map[string]string{"REQUEST_URI": test.want, "PATH_INFO": test.path, "DOCUMENT_URI": test.path})
	}
}

func TestRequestThatNoServerMade(t *testing.T) {
	m := newMapper(t, Config{})
	r, err := http.NewRequestWithContext(t.Context(), "", "http://example.org/a%20b?q", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Method, r.Proto, r.Host = "", "", ""
	wantVars(t, vars(t, m, r, 0), map[string]string{
		"REQUEST_METHOD": "GET", "REQUEST_URI": "/a%20b?q", "SERVER_PROTOCOL": "HTTP/1.1",
		"SERVER_NAME": "localhost", "SERVER_PORT": "80", "SERVER_ADDR": absent, "HTTP_HOST": absent,
		"REMOTE_ADDR": "", "REMOTE_PORT": absent,
	})
	r.RequestURI = "*" // OPTIONS * that a front has given a path
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, (*net.TCPAddr)(nil)))
	wantVars(t, vars(t, m, r, 0), map[string]string{"REQUEST_URI": "*", "SERVER_ADDR": absent})
}

func TestServerNameAndPort(t *testing.T) {
	m := newMapper(t, Config{})
	local := &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 8080, Zone: "eth0"}
	for _, test := range []struct {
		host, name, port string
		https            bool
	}{
		{host: "example.org", name: "example.org", port: "80"},
		{host: "example.org", name: "example.org", port: "443", https: true},
		{host: "example.org:8443", name: "example.org", port: "8443", https: true},
		{host: "example.org:", name: "example.org", port: "80"},
		{host: "192.0.2.1:81", name: "192.0.2.1", port: "81"},
		{host: "[2001:db8::2]", name: "[2001:db8::2]", port: "80"},
		{host: "[2001:db8::2]:81", name: "[2001:db8::2]", port: "81"},
		{host: "", name: "2001:db8::1", port: "8080"},
	} {
		r := get(t, "/")
		r.Host = test.host
		if test.https {
			r.TLS = &tls.ConnectionState{}
		}
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local))
		want := map[string]string{
			"SERVER_NAME": test.name, "SERVER_PORT": test.port, "SERVER_ADDR": "2001:db8::1",
			"REQUEST_SCHEME": "http", "HTTPS": absent,
		}
		if test.https {
			want["REQUEST_SCHEME"], want["HTTPS"] = "https", "on"
		}
		wantVars(t, vars(t, m, r, 0), want)
	}
}

// A Host is what net/http takes for one in a header field, be it in the request line.
func TestHostsThatAreNone(t *testing.T) {
	m := newMapper(t, Config{})
	for _, host := range []string{`a"b`, "<script>", "a/b", "a b", "a\\b", "a@b", "a:b", "a:b:80", "a:65536", ":80", "[::1", "::1", "[1.2.3.4]", "[::1]x", "a]", "a..b", "%zz", "a%4", "\xff"} {
		r := get(t, "/")
		r.Host = host
		wantRefused(t, m, r, http.StatusBadRequest)
	}
	wantRefused(t, m, get(t, `http://a"<b>/x`), http.StatusBadRequest)
	for _, target := range []string{"http:x", "http:///x", "unix:/x", "ftp://a/x", "//a@b:c#", "/x#y", "http://a/x#y", "http://user@a/x", "HTTP://:80/x"} {
		wantRefused(t, m, get(t, target), http.StatusBadRequest)
	}
}

func TestServerAddrIsUnknownOnUnixSockets(t *testing.T) {
	m := newMapper(t, Config{})
	r := get(t, "/")
	r.RemoteAddr = "@"
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.UnixAddr{Name: "/run/s.sock", Net: "unix"}))
	wantVars(t, vars(t, m, r, 0), map[string]string{
		"SERVER_ADDR": absent, "REMOTE_ADDR": "unix:", "REMOTE_HOST": "unix:", "REMOTE_PORT": absent,
	})
}

func TestConfiguredEnvWins(t *testing.T) {
	env := map[string]string{
		"HTTPS": "on", "SERVER_NAME": "canonical.example.org", "PATH_INFO": "/fixed", "CONTENT_LENGTH": "7",
		"REMOTE_ADDR": "192.0.2.99", "REMOTE_USER": "admin", "HTTP_HOST": "", "HTTP_X_THING": "configured",
		"HTTP_USER_AGENT": "configured", "PHP_VALUE": "a=1\nb=2", "SERVER_SOFTWARE": "other",
	}
	m := newMapper(t, Config{Env: env})
	r := request(t, "POST /x HTTP/1.1\nHost: example.org\nUser-Agent: sent\nX-Thing: sent")
	got := vars(t, m, r, 9)
	wantVars(t, got, env)

	env["HTTPS"] = "changed afterwards"
	env["REQUEST_METHOD"] = "changed afterwards"
	got = vars(t, m, r, 9)
	wantVars(t, got, map[string]string{"HTTPS": "on", "REQUEST_METHOD": "POST"})
}

func TestUserOfAFrontInTheSameProcess(t *testing.T) {
	m := newMapper(t, Config{})
	r := get(t, "/")
	c := m.Client(r)
	c.User, c.AuthType = "jane", "Basic"
	list, err := m.Vars(nil, r, &c, 0)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, v := range list {
		got[v.Name] = v.Value
	}
	wantVars(t, got, map[string]string{"REMOTE_USER": "jane", "AUTH_TYPE": "Basic"})
}

func TestDocumentRootOfAnApplication(t *testing.T) {
	root := t.TempDir()
	m := newMapper(t, Config{Root: root, Mount: "/app"})
	wantVars(t, vars(t, m, get(t, "/app/x/y"), 0), map[string]string{
		"DOCUMENT_ROOT": root, "PATH_TRANSLATED": filepath.Join(root, "x/y"),
		"SCRIPT_FILENAME": absent, "REDIRECT_STATUS": absent,
	})
	wantVars(t, vars(t, m, get(t, "/app"), 0), map[string]string{
		"DOCUMENT_ROOT": root, "PATH_TRANSLATED": absent, "SCRIPT_NAME": "/app", "PATH_INFO": "",
	})
}

func TestVarsAppendsAndLeavesDstOnError(t *testing.T) {
	m := newMapper(t, Config{Mount: "/app"})
	dst := []Var{{"FIRST", "1"}}
	list, err := m.Vars(dst, get(t, "/app"), &Client{}, 0)
	if err != nil || len(list) < 10 || list[0] != dst[0] {
		t.Errorf("got %v, %v", list, err)
	}
	list, err = m.Vars(dst, get(t, "/other"), &Client{}, 0)
	if err == nil || len(list) != 1 || list[0] != dst[0] {
		t.Errorf("got %v, %v", list, err)
	}
}

func TestBreaksAreRefused(t *testing.T) {
	m := newMapper(t, Config{})
	for name, spoil := range map[string]func(r *http.Request, s string){
		"path":           func(r *http.Request, s string) { r.URL.Path = "/" + s },
		"query":          func(r *http.Request, s string) { r.URL.RawQuery = s },
		"REQUEST_URI":    func(r *http.Request, s string) { r.RequestURI = "/" + s },
		"method":         func(r *http.Request, s string) { r.Method = s },
		"protocol":       func(r *http.Request, s string) { r.Proto = s },
		"host":           func(r *http.Request, s string) { r.Host = s },
		"content type":   func(r *http.Request, s string) { r.Header["Content-Type"] = []string{s} },
		"header":         func(r *http.Request, s string) { r.Header["X-A"] = []string{s} },
		"second header":  func(r *http.Request, s string) { r.Header["X-A"] = []string{"", s} },
		"known header":   func(r *http.Request, s string) { r.Header["Accept"] = []string{s} },
		"remote address": func(r *http.Request, s string) { r.RemoteAddr = s },
	} {
		for _, b := range []string{"a\x00b", "a\nb", "a\rb", "\n"} {
			r := get(t, "/")
			spoil(r, b)
			_, err := m.Vars(nil, r, new(m.Client(r)), 0)
			refused, ok := errors.AsType[*RequestError](err)
			if !ok || refused.Status != http.StatusBadRequest {
				t.Errorf("%s with %q: got %v, want a 400", name, b, err)
			}
		}
	}
}
