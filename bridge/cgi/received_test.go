package cgi_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/cgi"
)

// vars makes variables of "NAME=value".
func vars(list ...string) (v []cgi.Var) {
	for _, text := range list {
		name, value, _ := strings.Cut(text, "=")
		v = append(v, cgi.Var{Name: name, Value: value})
	}
	return v
}

// received is the request that the variables describe.
func received(t *testing.T, list ...string) *http.Request {
	t.Helper()
	r, err := (&cgi.Received{Vars: vars(list...)}).Request(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The HTTP request that variables describe.
func TestReceivedRequest(t *testing.T) {
	const uri = "REQUEST_URI=/a%20b?c"
	for _, tt := range []struct {
		name string
		vars []string
		want string // what fmt says of the parts
	}{
		{"nginx", []string{
			"QUERY_STRING=c", "REQUEST_METHOD=POST", "CONTENT_TYPE=a/b", "CONTENT_LENGTH=5", "SCRIPT_NAME=/a b", uri, "DOCUMENT_URI=/a b",
			"DOCUMENT_ROOT=/srv", "SERVER_PROTOCOL=HTTP/2.0", "REQUEST_SCHEME=https", "HTTPS=on", "REMOTE_ADDR=192.0.2.1", "REMOTE_PORT=4711",
			"SERVER_ADDR=192.0.2.9", "SERVER_PORT=443", "SERVER_NAME=wiki", "HTTP_HOST=wiki.example.org", "HTTP_COOKIE=a=b", "HTTP_X_ODD_NAME=1",
		}, `POST "/a b" "c" "/a%20b?c" HTTP/2.0 wiki.example.org 192.0.2.1:4711 tls=true 5 local=192.0.2.9:443 map[Content-Type:[a/b] Cookie:[a=b] X-Odd-Name:[1]]`},
		{"nothing but a path", []string{"SCRIPT_NAME=/x", "PATH_INFO=/y z", "QUERY_STRING=q=1"}, `GET "/x/y z" "q=1" "/x/y%20z?q=1" HTTP/1.1   tls=false -1 local=<nil> map[]`},
		{"server name", []string{uri, "SERVER_NAME=wiki", "SERVER_PORT=8080"}, `GET "/a b" "c" "/a%20b?c" HTTP/1.1 wiki:8080  tls=false -1 local=<nil> map[]`},
		{"usual port", []string{uri, "SERVER_NAME=wiki", "SERVER_PORT=443", "HTTPS=1"}, `GET "/a b" "c" "/a%20b?c" HTTP/1.1 wiki  tls=true -1 local=<nil> map[]`},
		{"HTTPS off", []string{uri, "HTTPS=off", "REQUEST_SCHEME=https"}, `GET "/a b" "c" "/a%20b?c" HTTP/1.1   tls=false -1 local=<nil> map[]`},
		{"scheme alone", []string{uri, "REQUEST_SCHEME=https"}, `GET "/a b" "c" "/a%20b?c" HTTP/1.1   tls=true -1 local=<nil> map[]`},
		{"absolute target", []string{"REQUEST_URI=http://wiki:81/a?b"}, `GET "/a" "b" "http://wiki:81/a?b" HTTP/1.1 wiki:81  tls=false -1 local=<nil> map[]`},
		{"a target that is none", []string{"REQUEST_URI=/a%zz", "SCRIPT_NAME=/a", "PATH_INFO=%zz"}, `GET "/a%zz" "" "/a%25zz" HTTP/1.1   tls=false -1 local=<nil> map[]`},
		{"IPv6", []string{uri, "REMOTE_ADDR=2001:db8::1", "REMOTE_PORT=9"}, `GET "/a b" "c" "/a%20b?c" HTTP/1.1  [2001:db8::1]:9 tls=false -1 local=<nil> map[]`},
		{"unix socket", []string{uri, "REMOTE_ADDR=unix:", "REMOTE_PORT="}, `GET "/a b" "c" "/a%20b?c" HTTP/1.1  unix: tls=false -1 local=<nil> map[]`},
		{"fields of the connection", []string{
			uri, "HTTP_CONNECTION=close", "HTTP_PROXY=evil", "HTTP_TE=a", "HTTP_TRANSFER_ENCODING=chunked", "HTTP_CONTENT_LENGTH=9",
			"HTTP_CONTENT_TYPE=a/b", "HTTP_EXPECT=100-continue", "HTTP_=x", "CONTENT_TYPE=", "CONTENT_LENGTH=",
		}, `GET "/a b" "c" "/a%20b?c" HTTP/1.1   tls=false -1 local=<nil> map[]`},
		{"twice", []string{uri, "HTTP_COOKIE=a=1", "HTTP_COOKIE=b=2", "SERVER_NAME=one", "SERVER_NAME=two"}, `GET "/a b" "c" "/a%20b?c" HTTP/1.1 two  tls=false -1 local=<nil> map[Cookie:[a=1 b=2]]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := received(t, tt.vars...)
			got := fmt.Sprintf("%s %q %q %q %s %s %s tls=%v %d local=%v %v", r.Method, r.URL.Path, r.URL.RawQuery, r.RequestURI, r.Proto, r.Host, r.RemoteAddr, r.TLS != nil, r.ContentLength, r.Context().Value(http.LocalAddrContextKey), r.Header)
			if got != tt.want {
				t.Errorf("%s\nwant\n%s", got, tt.want)
			}
			if v := cgi.ReceivedOf(r); v == nil || !reflect.DeepEqual(v.Vars, vars(tt.vars...)) {
				t.Errorf("it does not know of its variables: %v", v)
			}
		})
	}
}

func TestReceivedRequestRefused(t *testing.T) {
	for _, list := range [][]string{
		{"REQUEST_URI=/", "CONTENT_LENGTH=x"},
		{"REQUEST_URI=/", "CONTENT_LENGTH=-1"},
		{"REQUEST_URI=/", "CONTENT_LENGTH=99999999999999999999"},
		{"REQUEST_URI=x"},
		{"PATH_INFO=x"},
		{},
	} {
		r, err := (&cgi.Received{Vars: vars(list...)}).Request(context.Background())
		if refused, ok := err.(*cgi.RequestError); !ok || refused.Status != http.StatusBadRequest || r != nil {
			t.Errorf("%q: %v, %v", list, r, err)
		}
	}
}

// Who a request comes from is what the web server says.
func TestReceivedClient(t *testing.T) {
	m := mapperOf(t, cgi.Config{TrustedProxies: []string{"192.0.2.1", "unix"}})
	for _, tt := range []struct {
		vars []string
		want cgi.Client
	}{
		{[]string{"REQUEST_URI=/", "REMOTE_ADDR=198.51.100.1", "REMOTE_PORT=9", "REMOTE_USER=ann", "AUTH_TYPE=Digest", "HTTPS=on", "HTTP_X_FORWARDED_FOR=203.0.113.1"}, cgi.Client{Addr: "198.51.100.1", Port: "9", Scheme: "https", User: "ann", AuthType: "Digest", Relayed: true}},
		{[]string{"REQUEST_URI=/", "REMOTE_ADDR=192.0.2.1", "REMOTE_PORT=9", "HTTP_X_FORWARDED_FOR=203.0.113.1"}, cgi.Client{Addr: "203.0.113.1", Scheme: "http", Trusted: true, Relayed: true}},
		{[]string{"REQUEST_URI=/", "REMOTE_ADDR=unix:"}, cgi.Client{Addr: "unix:", Scheme: "http", Relayed: true}},
	} {
		if got := m.Client(received(t, tt.vars...)); got != tt.want {
			t.Errorf("%q: %+v, want %+v", tt.vars, got, tt.want)
		}
	}
}

// The variables go to the application in their order, twice if they came twice, with these
// exceptions.
func TestReceivedVars(t *testing.T) {
	came := []string{"Z=1", "SCRIPT_FILENAME=/srv/x.php", "CUSTOM=a", "CUSTOM=b", "REQUEST_URI=/x", "empty=", "REMOTE_USER=ann", "AUTH_TYPE=Basic", "HTTP_AUTHORIZATION=secret", "HTTP_X_Y=\x00\n"}
	with := func(more ...string) []string { return append(slices.Clone(came), more...) }
	without := func(list []string, names ...string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(s string) bool {
			name, _, _ := strings.Cut(s, "=")
			return slices.Contains(names, name)
		})
	}
	none := func(*cgi.Client) {}
	for _, tt := range []struct {
		name   string
		cfg    cgi.Config
		came   []string
		length int64
		who    func(*cgi.Client)
		want   []string
	}{
		{"as they came", cgi.Config{}, came, 0, none, came},
		{"length of the body", cgi.Config{}, with("CONTENT_LENGTH=3", "A=b"), 7, none, with("CONTENT_LENGTH=7", "A=b")},
		{"length that is not known", cgi.Config{}, with("CONTENT_LENGTH=", "A=b"), -1, none, with("A=b")},
		{"length that was not known", cgi.Config{}, with("A=b"), 7, none, with("A=b", "CONTENT_LENGTH=7")},
		{"length twice", cgi.Config{}, with("CONTENT_LENGTH=7", "CONTENT_LENGTH=9"), 7, none, with("CONTENT_LENGTH=7")},
		{"no length", cgi.Config{}, with("CONTENT_LENGTH="), 0, none, with("CONTENT_LENGTH=")},
		{"no length of a POST", cgi.Config{}, with("REQUEST_METHOD=POST"), 0, none, with("REQUEST_METHOD=POST", "CONTENT_LENGTH=0")},
		{"httpoxy", cgi.Config{}, with("HTTP_PROXY=evil"), 0, none, came},
		{"configured", cgi.Config{Env: map[string]string{"CUSTOM": "c", "B": "2", "REMOTE_USER": "x"}}, came, 0, none, append(without(came, "CUSTOM", "REMOTE_USER"), "B=2", "CUSTOM=c", "REMOTE_USER=x")},
		{"a user that was checked here", cgi.Config{}, came, 0, func(c *cgi.Client) { c.User, c.AuthType, c.Verified = "bob", "Basic", true }, append(without(came, "REMOTE_USER", "AUTH_TYPE", "HTTP_AUTHORIZATION"), "REMOTE_USER=bob", "AUTH_TYPE=Basic")},
		{"a field that only a proxy may set", cgi.Config{UserHeader: "X-Remote-User"}, with("HTTP_X_REMOTE_USER=root", "HTTP_X_REMOTE=1"), 0, none, with("HTTP_X_REMOTE=1")},
		{"a field that a proxy sets", cgi.Config{UserHeader: "X-Remote-User", TrustedProxies: []string{"192.0.2.1"}}, with("REMOTE_ADDR=192.0.2.1", "HTTP_X_REMOTE_USER=bob"), 0, none, with("REMOTE_ADDR=192.0.2.1", "HTTP_X_REMOTE_USER=bob")},
		{"php needs no root", cgi.Config{Preset: cgi.PresetPHP, AllReceived: true}, came, 0, none, came},
		{"nor is a root looked at", cgi.Config{Preset: cgi.PresetCGI, Root: t.TempDir()}, came, 0, none, came},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, r := mapperOf(t, tt.cfg), received(t, tt.came...)
			who := m.Client(r)
			tt.who(&who)
			got, err := m.Vars(nil, r, &who, tt.length)
			if err != nil || !slices.Equal(got, vars(tt.want...)) {
				t.Errorf("%q, %v, want\n%q", got, err, vars(tt.want...))
			}
		})
	}
}

// What the configuration has out of reach is so by either path: the target, and what the web
// server has made of it.
func TestReceivedOutOfReach(t *testing.T) {
	m := mapperOf(t, cgi.Config{Mount: "/wiki", Hide: []string{"/data"}})
	for path, want := range maps.All(map[string]int{
		"REQUEST_URI=/wiki/x": 0, "REQUEST_URI=/other": 404, "REQUEST_URI=/wiki/data/x": 404, "REQUEST_URI=/wiki/../x": 404,
		"REQUEST_URI=/wiki/x SCRIPT_NAME=/wiki/data/x": 404, "REQUEST_URI=/wiki/x SCRIPT_NAME=/wiki/a PATH_INFO=/../data/x": 404,
		"REQUEST_URI=/wiki/x SCRIPT_NAME=/wiki PATH_INFO=/x": 0,
	}) {
		r := received(t, strings.Fields(path)...)
		who := m.Client(r)
		_, err := m.Vars(nil, r, &who, 0)
		status := 0
		if refused, ok := err.(*cgi.RequestError); ok {
			status = refused.Status
		}
		if status != want {
			t.Errorf("%s: %v, want %d", path, err, want)
		}
	}
	m = mapperOf(t, cgi.Config{Preset: cgi.PresetPHP, AllReceived: true})
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "/x.php", nil)
	if _, err := m.Vars(nil, r, new(cgi.Client), 0); err == nil {
		t.Error("a request without variables was taken, and there is no root")
	}
}

// mapperOf returns a Mapper that is closed at the end of the test.
func mapperOf(t *testing.T, cfg cgi.Config) *cgi.Mapper {
	t.Helper()
	m, err := cgi.NewMapper(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}
