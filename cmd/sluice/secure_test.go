package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// Where requests without TLS are sent, and which are served all the same.
func TestRedirect(t *testing.T) {
	const text = `
[[application]]
name = "a"
backends = ["unix:/run/absent.sock"]
[[site]]
hosts = ["wiki.test"]
trusted_proxies = ["192.0.2.9"]
[[site]]
hosts = ["open.test"]
tls.redirect = "off"
`
	s, _ := fileServer(t, text)
	for _, tc := range []struct {
		port                       int
		method, target, host, from string
		status                     int
		want                       string
	}{
		{443, "GET", "/a?b=c", "wiki.test", "192.0.2.1:1", 301, "https://wiki.test/a?b=c"},
		{443, "HEAD", "/", "wiki.test:80", "192.0.2.1:1", 301, "https://wiki.test/"},
		{8443, "POST", "/%2f", "Wiki.Test:8080", "192.0.2.1:1", 308, "https://Wiki.Test:8443/%2f"},
		{443, "DELETE", "/", "wiki.test", "@", 308, "https://wiki.test/"},
		{443, "GET", "http://wiki.test/x", "wiki.test", "192.0.2.1:1", 301, "https://wiki.test/x"},
		{443, "GET", "/", "other.test", "192.0.2.1:1", 421, ""},
		{443, "GET", "/", "wiki.test", "192.0.2.9:1", 502, ""},
		{443, "GET", "/", "open.test", "192.0.2.1:1", 502, ""},
		{0, "GET", "/", "wiki.test", "192.0.2.1:1", 502, ""},
	} {
		s.front.securePort.Store(int32(tc.port))
		r := httptest.NewRequest(tc.method, tc.target, nil)
		r.Host, r.RemoteAddr = tc.host, tc.from
		w := httptest.NewRecorder()
		s.front.ServeHTTP(w, r)
		name := fmt.Sprint(tc.method, " ", tc.target, " of ", tc.host, " from ", tc.from)
		if got := w.Header().Get("Location"); w.Code != tc.status || got != tc.want {
			t.Errorf("%s: %d %q, want %d %q", name, w.Code, got, tc.status, tc.want)
		}
		if left := s.front.looped(r) == nil; tc.status != 502 && !left {
			t.Errorf("%s: an event loop would serve it", name)
		}
	}
	s.front.securePort.Store(443)
	for _, target := range []string{"http:@other.test/", "http:.other.test/", "x:@other.test", "http://jane@wiki.test/", "/%0d%0aX:y", "/../x"} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		u, err := url.ParseRequestURI(target)
		if err != nil {
			t.Fatal(err)
		}
		r.URL, r.RequestURI, r.Host, r.RemoteAddr = u, target, "wiki.test", "192.0.2.1:1"
		w := httptest.NewRecorder()
		s.front.ServeHTTP(w, r)
		if got := w.Header().Get("Location"); w.Code != http.StatusBadRequest || got != "" {
			t.Errorf("%s: %d %q, want 400", target, w.Code, got)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Host, r.RemoteAddr = "", "192.0.2.1:1"
	w := httptest.NewRecorder()
	s.front.redirect(w, r)
	if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "names no Host") {
		t.Errorf("without a host: %d %q", w.Code, w.Body)
	}
}

func TestHSTS(t *testing.T) {
	year := config.Duration(365 * 24 * 3600 * 1e9)
	for _, tc := range []struct {
		of   config.SiteTLS
		want string
	}{
		{config.SiteTLS{}, ""},
		{config.SiteTLS{HSTS: year}, "max-age=31536000"},
		{config.SiteTLS{HSTS: year, HSTSSubdomains: config.On}, "max-age=31536000; includeSubDomains"},
		{config.SiteTLS{HSTS: year, HSTSSubdomains: config.On, HSTSPreload: config.On}, "max-age=31536000; includeSubDomains; preload"},
	} {
		if got := hstsOf(&tc.of); got != tc.want {
			t.Errorf("%+v: %q, want %q", tc.of, got, tc.want)
		}
	}
}
