package status

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A web page whose host name resolves to this machine gets 421.
func TestGuard(t *testing.T) {
	for _, c := range []struct {
		host  string
		names []string
		want  int
	}{
		{"127.0.0.1:9180", nil, 200},
		{"192.0.2.1", nil, 200},
		{"[::1]:9180", nil, 200},
		{"[::1]", nil, 200},
		{"localhost", nil, 200},
		{"LOCALHOST.:9180", nil, 200},
		{"", nil, 200},
		{"rebound.example:9180", nil, 421},
		{"localhost.evil.example", nil, 421},
		{"127.0.0.1.evil.example:9180", nil, 421},
		{"evil.example", []string{"gate.example", "web1:9180"}, 421},
		{"Gate.Example:9180", []string{"gate.example", "web1:9180"}, 200},
		{"web1", []string{"gate.example", "web1:9180"}, 200},
		{"web1.evil.example", []string{"web1"}, 421},
		{"anything.example", []string{"*"}, 200},
	} {
		refused := ""
		h := Guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), c.names, func(host string) { refused = host })
		r := httptest.NewRequest("GET", "/status.json", nil)
		r.Host = c.host
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != c.want || (refused == c.host) != (c.want == 421) && c.host != "" {
			t.Errorf("%q of %q: %d (refused %q), want %d", c.host, c.names, w.Code, refused, c.want)
		}
		if c.want == 421 && (!strings.Contains(w.Body.String(), "--status-host") || w.Header().Get("X-Content-Type-Options") != "nosniff") {
			t.Errorf("%q: %q %v", c.host, w.Body, w.Header())
		}
		w = httptest.NewRecorder()
		ctx := context.WithValue(r.Context(), http.LocalAddrContextKey, &net.UnixAddr{Name: "/run/s", Net: "unix"})
		if h.ServeHTTP(w, r.WithContext(ctx)); w.Code != 200 {
			t.Errorf("%q over a unix socket: %d", c.host, w.Code)
		}
	}
	Guard(http.NotFoundHandler(), nil, nil).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "http://x.example/", nil))
}
