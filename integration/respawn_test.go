//go:build linux

package integration

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// logs waits until a gate's log has that text.
func (s sluice) logs(t testing.TB, text string) {
	t.Helper()
	eventually(t, fmt.Sprintf("the log says %q", text), func() error {
		if !strings.Contains(s.output.String(), text) {
			return errNotYet
		}
		return nil
	})
}

// An application that ends before it serves is given up for a while, and requests
// are told so at once, not when they have waited.
func TestApplicationThatNeverServes(t *testing.T) {
	t.Parallel()
	gate := startGate(t, []string{"--command-spawn-budget", "2 per 1h", "--", "sh", "-c", "echo out of luck >&2; sleep 0.6; exit 7"})
	gate.logs(t, "requests are refused")
	s := newSite(t, gate.url)
	resp, _ := s.do(t, s.request(t, http.MethodGet, "/", nil))
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" ||
		resp.Header.Get("Proxy-Status") != "sluice; error=destination_unavailable" {
		t.Errorf("the answer is %s, %v", resp.Status, resp.Header)
	}
	if log := gate.output.String(); strings.Count(log, "the command is running") != 2 || !strings.Contains(log, "exit status 7") ||
		!strings.Contains(log, "out of luck") {
		t.Errorf("the log says\n%s", log)
	}
	if kids := children(t, gate.Process.Pid); len(kids) > 0 {
		t.Errorf("processes %v run", kids)
	}
}

// An application that ends without an error when it has served some requests, as PHP and
// CGI::Fast do, goes on serving: no request is lost, its budget is not touched, and nobody
// is alarmed.
func TestApplicationThatServesAndEnds(t *testing.T) {
	app := phpCGI(t, 0) // one process, no children: it ends when it has served so many
	app.Env = []string{"PHP_FCGI_CHILDREN=0", "PHP_FCGI_MAX_REQUESTS=3"}
	be := backend{workers: 1, preset: "php", root: testdata(t, ""), prefix: "/routes.php"}
	gate := startSluiceCommand(t, app, append(be.args(), "--command-spawn-budget", "1 per 1h stop")...)
	s := newSite(t, gate.url+be.prefix)
	for i := range 15 {
		if got := s.get(t, "/hello"); got != "hello\n" {
			t.Fatalf("request %d got %q", i, got)
		}
	}
	gate.logs(t, "has ended by itself, without an error")
	log := gate.output.String()
	if strings.Contains(log, "level=ERROR") || strings.Count(log, "has ended by itself") != 1 {
		t.Errorf("the log says\n%s", log)
	}
	wantNothingLeft(t, gate, s)
}

// An application that ignores SIGTERM, and has children that do, ends all the same.
func TestApplicationThatIgnoresSIGTERM(t *testing.T) {
	t.Parallel()
	gate := startGate(t, []string{"--", "sh", "-c", `trap "" TERM; sleep 600 & while :; do sleep 601; done`})
	group := gate.child(t)
	gate.signal(t, syscall.SIGTERM)
	if err := gate.wait(t); err != nil {
		t.Errorf("sluice ended with %v", err)
	}
	eventually(t, "the application has ended", func() error { return wantGroupGone(t, group) })
}
