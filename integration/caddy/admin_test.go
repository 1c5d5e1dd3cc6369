//go:build linux

package caddy

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// manage asks the admin API.
func (s *site) manage(method, path string) (status int, body string) {
	s.t.Helper()
	r, err := http.NewRequest(method, s.admin+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}).Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, strings.TrimSpace(string(text))
}

func TestAdmin(t *testing.T) {
	entered, release := make(chan struct{}, 1), make(chan struct{})
	slow := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			entered <- struct{}{}
			<-release
		}
		echo(w, r)
	}
	a, b := startApp(t, slow), startApp(t, slow)
	directives := "sluice " + a.addr + " " + b.addr
	s := start(t, directives)
	late := make(chan reply)
	go func() { late <- s.get("/wait") }()
	<-entered
	busy, other := a, b
	if a.accepted.Load() == 0 {
		busy, other = b, a
	}
	for _, c := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"POST", "/sluice/drain?backend=" + busy.addr, 200, `{"drained":false}`},
		{"POST", "/sluice/drain?backend=" + other.addr + "&wait=10s", 200, `{"drained":true}`},
		{"POST", "/sluice/resume?backend=" + other.addr, 200, `{"resumed":true}`},
		{"GET", "/sluice/drain?backend=" + a.addr, 405, `{"error":"method not allowed, want POST"}`},
		{"POST", "/sluice/drain", 400, `{"error":"backend: is missing; give the address as written in the configuration"}`},
		{"POST", "/sluice/drain?backend=c:3", 404, `{"error":"there is no backend \"c:3\" in use"}`},
		{"POST", "/sluice/drain?backend=c:3&wait=long", 400, `{"error":"wait: \"long\" is not a duration (write 500ms, 3s, 2m)"}`},
		{"POST", "/sluice/resume?backend=c:3", 404, `{"error":"there is no backend \"c:3\" in use"}`},
		{"POST", "/sluice/restart", 404, `{"error":"no such application was spawned"}`},
		{"DELETE", "/sluice/status", 405, `{"error":"method not allowed, want GET"}`},
	} {
		if status, body := s.manage(c.method, c.path); status != c.status || body != c.body {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.path, status, body, c.status, c.body)
		}
	}
	s.load("header X-New 1\n" + directives) // which says nothing of draining
	for range 4 {
		s.want(s.get("/x"), 200, "GET /x ")
	}
	if n := busy.accepted.Load(); n != 1 {
		t.Errorf("%d connections to the one that is drained", n)
	}
	close(release)
	s.want(<-late, 200, "GET /wait ")
	if status, body := s.manage("POST", "/sluice/drain?backend="+busy.addr+"&wait=10s"); status != 200 || body != `{"drained":true}` {
		t.Errorf("%d %s", status, body)
	}
}

// The metrics of an application go on over reloads.
func TestMetrics(t *testing.T) {
	a := startApp(t, echo)
	s := start(t, "sluice /a* "+a.addr+"\nsluice /b* "+a.addr)
	value := func() string {
		t.Helper()
		_, text := s.manage("GET", "/metrics")
		m := regexp.MustCompile(`(?m)^caddy_sluice_gate_requests_started_total\{application="` + a.addr + `",lane="unknown"\} (\d+)$`).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("not there:\n%s", strings.Join(regexp.MustCompile(`(?m)^caddy_sluice_.*$`).FindAllString(text, 20), "\n"))
		}
		return m[1]
	}
	if got := value(); got != "0" {
		t.Errorf("%s at first", got)
	}
	s.get("/a")
	s.get("/b")
	if got := value(); got != "2" {
		t.Errorf("%s after two requests", got)
	}
	s.load("header X-New 1\nsluice " + a.addr)
	s.get("/a")
	if got := value(); got != "3" {
		t.Errorf("%s after a reload and a third request", got)
	}
}
