//go:build linux

package integration

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// Workers that end after a few requests close their kept connection with the
// answer to the last: that is no request's error, not even a POST's.
func TestWorkersRetire(t *testing.T) {
	for name, backend := range map[string]func(testing.TB) backend{
		"php-fpm": func(t testing.TB) backend {
			return startFPM(t, fpmOptions{root: testdata(t, ""), workers: 4, pool: "pm.max_requests = 3\n"})
		},
		"php-cgi": func(t testing.TB) backend {
			app := phpCGI(t, 4)
			app.Env = append(app.Env, "PHP_FCGI_MAX_REQUESTS=3")
			p, addr := startOnSocket(t, app)
			return backend{addr: addr, workers: 4, preset: "php", root: testdata(t, ""), prefix: "/routes.php", process: p}
		},
	} {
		t.Run(name, func(t *testing.T) {
			checkLeaks(t)
			be := backend(t)
			url, b := serveBridge(t, be.config())
			s := newSite(t, url+be.prefix)
			sendTokens(t, s, 240)
			if in := b.Snapshot().Pool.Instances[0]; in.Dials < 70 {
				t.Errorf("%d connections for 240 requests: the workers did not retire", in.Dials)
			}
		})
	}
}

// php-fpm reloads under load. It answers what it has begun, and what waits in
// its backlog the new workers answer.
func TestReload(t *testing.T) {
	checkLeaks(t)
	be := startFPM(t, fpmOptions{root: testdata(t, ""), workers: 4})
	url, _ := serveBridge(t, be.config())
	s := newSite(t, url+be.prefix)
	for range 3 {
		g := newGate(t)
		waiting := s.background(t, t.Context(), "/wait?gate="+g.dir)
		g.entered(t, 1)
		if err := syscall.Kill(be.process.Process.Pid, syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { sendTokens(t, s, 100) })
		g.pass(t)
		within(t, "the request under way", waiting).want(t, "waited\n")
		wg.Wait()
	}
}

// An application that is not there yet is a 502 that says so, and no reason to
// fail once it is.
func TestApplicationComesLate(t *testing.T) {
	checkLeaks(t)
	socket := filepath.Join(socketDir(t), "late.sock")
	url, _ := serveBridge(t, bridge.Config{ApplicationConfig: bridge.ApplicationConfig{Backends: []string{"unix:" + socket}, Workers: 2}})
	s := newSite(t, url)
	resp, body := s.do(t, s.request(t, http.MethodPost, "/hello", nil))
	if resp.StatusCode != http.StatusBadGateway || !strings.Contains(resp.Header.Get("Proxy-Status"), "destination_unavailable") {
		t.Errorf("got %s, Proxy-Status %q\n%s", resp.Status, resp.Header.Get("Proxy-Status"), head(body))
	}
	startUWSGIAt(t, socket, 2)
	if got := s.get(t, "/hello"); got != "hello\n" {
		t.Errorf("got %q", got)
	}
}

// An application that hangs is a 504, and serves again when it goes on.
func TestApplicationHangs(t *testing.T) {
	checkLeaks(t)
	be := startLibfcgi(t, 2)
	cfg := be.plainConfig()
	cfg.SiteConfig.Timeouts.FirstByte = config.Duration(100 * time.Millisecond)
	cfg.SiteConfig.Timeouts.Abandoned = config.Duration(time.Second) // the third finds both workers taken
	url, b := serveBridge(t, cfg)
	s := newSite(t, url)
	if got := s.get(t, "/hello"); got != "hello\n" {
		t.Errorf("got %q", got)
	}
	pid := be.process.Process.Pid
	stop(t, pid)
	for range 3 {
		resp, _ := s.do(t, s.request(t, http.MethodPost, "/hello", nil))
		if resp.StatusCode != http.StatusGatewayTimeout || !strings.Contains(resp.Header.Get("Proxy-Status"), "http_response_timeout") {
			t.Errorf("got %s, Proxy-Status %q", resp.Status, resp.Header.Get("Proxy-Status"))
		}
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	wantIdle(t, b)
	s.untilServed(t)
}

// stop suspends a process and waits until each of its threads has noticed.
func stop(t testing.TB, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the process is stopped", func() error {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil {
			return err
		}
		for _, thread := range threads {
			text, err := os.ReadFile(thread)
			if err != nil {
				return err
			}
			if !bytes.Contains(text, []byte(") T ")) {
				return errNotYet
			}
		}
		return nil
	})
}

// sendTokens sends requests at once, GET and POST, each with a token of its
// own that must be its answer.
func sendTokens(t testing.TB, s site, requests int) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range requests {
		token := fmt.Sprintf("token-%d-%d", i, rand.Uint64())
		r := s.request(t, http.MethodGet, "/token?t="+token, nil)
		if i%2 == 1 {
			r = s.request(t, http.MethodPost, "/echo", strings.NewReader(token))
		}
		wg.Go(func() {
			resp, body, err := s.try(r)
			if err != nil {
				t.Errorf("%s %s: %v", r.Method, token, err)
				return
			}
			if resp.StatusCode != http.StatusOK || body != token {
				t.Errorf("%s %s: got %s (Proxy-Status %q), %q", r.Method, token, resp.Status, resp.Header.Get("Proxy-Status"), head(body))
			}
		})
	}
	wg.Wait()
}
