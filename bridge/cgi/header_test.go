package cgi

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// httpVars returns the HTTP_* variables that h becomes, as sorted "NAME=value".
func httpVars(t *testing.T, m *Mapper, h http.Header, trusted bool) []string {
	t.Helper()
	r := get(t, "/")
	r.Host, r.Header = "", h
	list, err := m.Vars(nil, r, &Client{Addr: "192.0.2.7", Trusted: trusted}, 0)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range list {
		if strings.HasPrefix(v.Name, "HTTP_") {
			got = append(got, v.Name+"="+v.Value)
		}
	}
	slices.Sort(got)
	return got
}

func TestRequestHeaders(t *testing.T) {
	m := newMapper(t, Config{})
	for _, test := range []struct {
		name string
		h    http.Header
		want []string
	}{
		{"ordinary", http.Header{"Accept": {"*/*"}, "X-One-2": {"x"}, "X-Ümlaut": {"x"}}, []string{"HTTP_ACCEPT=*/*", "HTTP_X_ONE_2=x"}},
		{"empty value", http.Header{"X-A": {""}}, []string{"HTTP_X_A="}},
		{"no value", http.Header{"X-A": {}, "Accept": nil}, nil},
		{"repeated", http.Header{"X-A": {"1", "2", "3"}, "Accept": {"a", "b"}}, []string{"HTTP_ACCEPT=a, b", "HTTP_X_A=1, 2, 3"}},
		{"cookies", http.Header{"Cookie": {"a=1", "b=2"}}, []string{"HTTP_COOKIE=a=1; b=2"}},
		{"authorization", http.Header{"Authorization": {"Bearer x"}, "Proxy-Authorization": {"Basic x"}}, []string{"HTTP_AUTHORIZATION=Bearer x"}},
		{"httpoxy", http.Header{"Proxy": {"http://evil.example"}}, nil},
		{"aliases", http.Header{"X_forwarded_for": {"1"}, "X.forwarded.for": {"2"}, "X_user": {"3"}, "X.user": {"4"}, "X-User": {"5"}}, []string{"HTTP_X_USER=5"}},
		{"not canonical", http.Header{"x-user": {"1"}, "X-user": {"2"}, "proxy": {"3"}, "accept": {"4"}}, nil},
		{"odd names", http.Header{"": {"1"}, "X-A=B": {"2"}, "X A": {"3"}, "X-A\n": {"4"}, "X-A\x00": {"5"}, "X-~": {"6"}}, nil},
		{"body", http.Header{"Content-Type": {"text/plain"}, "Content-Length": {"5"}, "Content-Encoding": {"gzip"}}, []string{"HTTP_CONTENT_ENCODING=gzip"}},
		{"host", http.Header{"Host": {"evil.example"}}, nil},
		{"connection", http.Header{
			"Connection": {"keep-alive, X-A"}, "Keep-Alive": {"1"}, "Proxy-Connection": {"1"}, "Te": {"trailers"}, "Trailer": {"X"},
			"Transfer-Encoding": {"chunked"}, "Upgrade": {"h2c"}, "Expect": {"100-continue"},
			"X-A": {"dropped"}, "X-B": {"kept"}, "Http2-Settings": {"x"}, "Proxy-Authenticate": {"x"},
		}, []string{"HTTP_X_B=kept"}},
		{"named by connection", http.Header{
			"Connection": {"close", " x-a ,,X-A, Cookie;x, Host, X-C", "AUTHORIZATION"},
			"X-A":        {"1", "2"}, "X-B": {"kept"}, "Cookie": {"kept"}, "Authorization": {"Basic x"}, "X-C": {},
		}, []string{"HTTP_COOKIE=kept", "HTTP_X_B=kept"}},
		{"forwarded", http.Header{
			"Forwarded": {"for=1.2.3.4"}, "X-Real-Ip": {"1.2.3.4"}, "X-Forwarded-For": {"1.2.3.4"}, "X-Forwarded-Proto": {"https"},
			"X-Forwarded-Host": {"a"}, "X-Forwarded-Port": {"1"}, "X-Forwarded-Prefix": {"/x"}, "X-Forwarded-": {"x"}, "X-Forwardedish": {"no"},
		}, []string{"HTTP_X_FORWARDEDISH=no"}},
	} {
		if got := httpVars(t, m, test.h, false); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestForwardedHeadersOfATrustedProxyArePassed(t *testing.T) {
	m := newMapper(t, Config{})
	h := http.Header{
		"Forwarded": {"for=1.2.3.4"}, "X-Real-Ip": {"1.2.3.4"}, "X-Forwarded-For": {"1.2.3.4", "5.6.7.8"},
		"X-Forwarded-Prefix": {"/x"}, "Proxy": {"x"},
	}
	h.Set("Connection", "X-Forwarded-For, X-Real-Ip, Forwarded, X-Forwarded-Prefix")
	want := []string{
		"HTTP_FORWARDED=for=1.2.3.4", "HTTP_X_FORWARDED_FOR=1.2.3.4, 5.6.7.8", "HTTP_X_FORWARDED_PREFIX=/x", "HTTP_X_REAL_IP=1.2.3.4",
	}
	if got := httpVars(t, m, h, true); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The table is a shortcut: each name in it must be what headerVar would build.
func TestHeaderTable(t *testing.T) {
	for key, v := range headerVars {
		if http.CanonicalHeaderKey(key) != key {
			t.Errorf("%q is not canonical, %q is", key, http.CanonicalHeaderKey(key))
		}
		want := "HTTP_" + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
		if v.rule == drop {
			want = ""
		}
		if v.name != want {
			t.Errorf("%q is %q, want %q", key, v.name, want)
		}
		b := builder{mapper: &Mapper{}}
		if v.rule != drop && b.headerVar(key).name != want {
			t.Errorf("headerVar(%q) is %q, want %q", key, b.headerVar(key).name, want)
		}
		if strings.HasPrefix(key, "X-Forwarded-") && v.rule != forwarded {
			t.Errorf("%q is passed from everybody", key)
		}
	}
}
