//go:build linux

package integration

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// fast is a program with CGI::Fast.
func fast(t testing.TB, options ...string) *exec.Cmd {
	t.Helper()
	return exec.Command(needPerl(t, "CGI::Fast"), append([]string{testdata(t, "fast.pl")}, options...)...)
}

// askTogether has callers ask for a page over and over until the log says something.
func (g processGate) askTogether(t *testing.T, callers int, until string) {
	t.Helper()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(stop)
	for range callers {
		wg.Go(func() {
			for !closed(stop) {
				resp, _, err := g.app.try(g.app.request(t, http.MethodGet, "/", nil))
				if err != nil || resp.StatusCode != http.StatusOK {
					t.Errorf("GET /: %v, %v", resp, err)
					return
				}
			}
		})
	}
	g.logs(t, until)
}

// concurrency is what the gate has found out about its application.
func (g processGate) concurrency(t *testing.T) supervise.ConcurrencySnapshot {
	t.Helper()
	var shot struct {
		Processes struct {
			Concurrency supervise.ConcurrencySnapshot `json:"concurrency"`
		} `json:"processes"`
	}
	if err := json.Unmarshal([]byte(g.status.get(t, "/status.json")), &shot); err != nil {
		t.Fatal(err)
	}
	return shot.Processes.Concurrency
}

// A program that serves one request at a time, whatever --workers says, is found out, and so
// is one that ends after each. Every request is answered all the same.
func TestProgramsOfOneRequest(t *testing.T) {
	for _, tc := range []struct {
		name    string
		options []string
		says    string
	}{
		{"serves one at a time", nil, "serves fewer requests at once than it should"},
		{"ends after each", []string{"--once"}, "ends after each request"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			g := startProcesses(t, account{}, fast(t, tc.options...)) // with the default of 4 workers
			g.askTogether(t, 6, tc.says)
			g.logs(t, "set workers to 1, and spawn.instances (--command-instances) to 4")
			c := g.concurrency(t)
			if !strings.HasPrefix(c.Advice, "set workers to 1") || c.EndsAfterEach != (len(tc.options) > 0) {
				t.Errorf("known is %+v", c)
			}
			if log := g.output.String(); strings.Contains(log, "level=ERROR") {
				t.Errorf("the log says\n%s", log)
			}
		})
	}
}

// Who follows the advice has as many served at once, and hears nothing more.
func TestProgramsOfOneRequestInNumbers(t *testing.T) {
	t.Parallel()
	g := startProcesses(t, account{}, fast(t, "--once"), "--workers", "1", "--command-instances", "3")
	g.askTogether(t, 6, "has ended by itself, without an error")
	for range 50 {
		g.app.pidOf(t, "/")
	}
	if c := g.concurrency(t); c.Limit != 0 || !c.EndsAfterEach || c.Advice != "" {
		t.Errorf("known is %+v", c)
	}
	if log := g.output.String(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "set workers") {
		t.Errorf("the log says\n%s", log)
	}
}
