package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// spawning returns a server whose command is no application and serves nothing.
func spawning(t *testing.T, script string) *server {
	t.Helper()
	return testApplication(t, config.Application{Spawn: &config.Spawn{Command: []string{"sh", "-c", script}}})
}

// ask sends a request to the status server, with header fields in pairs. "Host" sets the host.
func ask(s *http.Server, method, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://127.0.0.1:9180"+path, nil)
	for i := 0; i < len(header); i += 2 {
		if r.Header.Set(header[i], header[i+1]); header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	w := httptest.NewRecorder()
	s.Handler.ServeHTTP(w, r)
	return w
}

// accepting is a script that is ready as soon as it runs: it accepts the connection that tests
// whether it is.
const accepting = `exec perl -MSocket -e '
	open(my $l, "+<&=0"); my @kept;
	while (1) { push @kept, $c if accept(my $c, $l); }'`

// An operator may have the application restarted; a web page may not.
func TestRestart(t *testing.T) {
	s := statusServer(t, spawning(t, accepting), []string{"status.test:9180"})
	for name, c := range map[string]struct {
		method string
		header []string
		status int
		body   string
	}{
		"asked for":             {"POST", nil, 200, "restarted\n"},
		"by localhost":          {"POST", []string{"Host", "localhost:9180"}, 200, "restarted\n"},
		"by IPv6":               {"POST", []string{"Host", "[::1]:9180"}, 200, "restarted\n"},
		"by its own name":       {"POST", []string{"Host", "Status.test:9180"}, 200, "restarted\n"},
		"from its own page":     {"POST", []string{"Origin", "http://127.0.0.1:9180", "Sec-Fetch-Site", "same-origin"}, 200, "restarted\n"},
		"by a link":             {"GET", nil, 404, ""},
		"by a foreign name":     {"POST", []string{"Host", "rebound.example:9180"}, 421, "421 Misdirected Request"},
		"from a foreign page":   {"POST", []string{"Sec-Fetch-Site", "cross-site"}, 403, ""},
		"from a foreign origin": {"POST", []string{"Origin", "http://evil.example"}, 403, ""},
	} {
		w := ask(s, c.method, "/restart", c.header...)
		if w.Code != c.status || !strings.HasPrefix(w.Body.String(), c.body) {
			t.Errorf("%s: %d %q, want %d %q", name, w.Code, w.Body, c.status, c.body)
		}
	}
}

// A restart that fails is answered with the reason.
func TestRestartFails(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken")
	b := spawning(t, "test -e "+broken+" && exit 3; "+accepting)
	s := statusServer(t, b, nil)
	if err := os.WriteFile(broken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w := ask(s, "POST", "/restart")
	if w.Code != 500 || !strings.Contains(w.Body.String(), "what ran before goes on") {
		t.Errorf("%d %q", w.Code, w.Body)
	}
}

// An application that Sluice has not started cannot be restarted, and the answer says so.
func TestNothingToRestart(t *testing.T) {
	s := statusServer(t, testApplication(t, config.Application{Backends: []string{"unix:/run/app.sock"}}), nil)
	if w := ask(s, "POST", "/restart"); w.Code != 404 || !strings.Contains(w.Body.String(), "not started by Sluice") {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	for name, want := range map[string]int{"": 200, "app": 200, "nosuch": 404} {
		if w := ask(s, "GET", "/status.json?application="+name); w.Code != want {
			t.Errorf("the state of %q: %d, want %d", name, w.Code, want)
		}
	}
	for _, path := range []string{"/healthz", "/status.json", "/metrics"} {
		w := ask(s, "GET", path)
		if rebound := ask(s, "GET", path, "Host", "rebound.example"); rebound.Code != 421 || strings.Contains(rebound.Body.String(), "gate") {
			t.Errorf("%s by a foreign name: %d %q", path, rebound.Code, rebound.Body)
		}
		if text, err := io.ReadAll(w.Body); w.Code != 200 || err != nil || len(text) == 0 {
			t.Errorf("%s: %d %q, %v", path, w.Code, text, err)
		}
	}
}

// The host names that the status listener accepts follow from its address.
func TestStatusHosts(t *testing.T) {
	machine, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for listen, want := range map[string][]string{
		"127.0.0.1:9180":    {"told.test"},
		"[::1]:9180":        {"told.test"},
		":9180":             {"told.test", machine},
		"0.0.0.0:9180":      {"told.test", machine},
		"gate.example:9180": {"told.test", "gate.example", machine},
	} {
		c := setup{Standalone: &config.Standalone{Server: config.Server{Status: listen, StatusHosts: []string{"told.test"}}}}
		if got := c.statusHosts(); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", listen, got, want)
		}
	}
}

func nothingInFront() frontSnapshot { return frontSnapshot{} }
