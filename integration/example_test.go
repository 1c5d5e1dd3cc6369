//go:build linux

package integration

import (
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// The program of examples/gate serves an application and the state, and ends without losing a request.
func TestExampleGate(t *testing.T) {
	t.Parallel()
	bin := filepath.Join(t.TempDir(), "gate")
	run(t, exec.Command("go", "build", "-o", bin, "../examples/gate"))
	app := startLibfcgi(t, 4)
	p := start(t, exec.Command(bin, "-listen", "127.0.0.1:0", "-status", "127.0.0.1:0", "-backend", app.addr, "-workers", "4"))
	var addr []string
	eventually(t, "it serves", func() error {
		if addr = regexp.MustCompile(`serving listen=(\S+) status=(\S+)`).FindStringSubmatch(p.output.String()); addr == nil {
			return errNotYet
		}
		return nil
	})
	s, state := newSite(t, "http://"+addr[1]), newSite(t, "http://"+addr[2])
	if got := s.get(t, "/hello"); got != "hello\n" {
		t.Errorf("the application says %q", got)
	}
	wantContains(t, state.get(t, "/"), "<title>")
	wantContains(t, state.get(t, "/status.json"), `"workers": 4`)
	if got := state.get(t, "/healthz"); got != "ok\n" {
		t.Errorf("/healthz is %q", got)
	}

	gate := newGate(t)
	waiting := s.background(t, t.Context(), "/wait?gate="+gate.dir)
	gate.entered(t, 1)
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it drains", func() error {
		if !strings.Contains(p.output.String(), "draining in_flight=1") {
			return errNotYet
		}
		return nil
	})
	gate.open(t)
	if o := <-waiting; o.err != nil || o.status != http.StatusOK {
		t.Errorf("a request that had begun: %d, %v", o.status, o.err)
	}
	if err := p.wait(t); err != nil {
		t.Errorf("it ends with %v", err)
	}
}
