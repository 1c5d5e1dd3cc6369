//go:build linux

package integration

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// SIGUSR1 has the access log opened anew, and so has SIGHUP, which has nothing to load if there are
// flags. SIGUSR2 restarts the application, and leaves the log alone.
func TestReopeningTheLog(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "access")
	g := startProcesses(t, account{}, troubled(t), "--access-log", log)
	before := g.app.pidOf(t, "/pid")
	for _, sig := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGHUP} {
		g.rotate(t, log, sig)
	}
	g.logs(t, "there is no configuration file to load again")
	if after := g.app.pidOf(t, "/pid"); after != before {
		t.Errorf("process %d serves, before it was %d", after, before)
	}
	if err := os.Rename(log, log+".kept"); err != nil {
		t.Fatal(err)
	}
	g.restartBySignal(t)
	if _, err := os.Stat(log); err == nil {
		t.Error("SIGUSR2 has opened the log anew")
	}
}

// Restarts that are asked for together are done together, and all are told.
func TestRestartsTogether(t *testing.T) {
	t.Parallel()
	g := startProcesses(t, account{}, troubled(t))
	before := g.app.pidOf(t, "/pid")
	l := newLoad(t, g.url)
	l.callers(t, 2, func(_, i int) question {
		return l.echo([]string{http.MethodGet, http.MethodPost}[i%2], nil)
	}, func() {
		var clients sync.WaitGroup
		for range 5 {
			clients.Go(func() {
				resp, body, err := g.status.try(g.status.request(t, http.MethodPost, "/restart", nil))
				if err != nil || resp.StatusCode != http.StatusOK {
					t.Errorf("POST /restart: %v, %v, %s", resp, err, head(body))
				}
			})
		}
		clients.Wait()
	})
	l.wantAllRight(t)
	if kids := g.awaitChildren(t, 1); kids[0] == before {
		t.Errorf("process %d was not replaced", before)
	}
}

// An application that was given up is started by a restart: somebody has mended it. It is asked whether it is ready:
// without that, one that takes more than 300 ms to end counts as started.
func TestRestartOfOneThatWasGivenUp(t *testing.T) {
	t.Parallel()
	broken := filepath.Join(socketDir(t), "broken")
	g := startProcesses(t, account{}, troubled(t, "--broken", broken), "--command-spawn-budget", "1 per 1h", "--command-ready", "/ready")
	pid := g.app.pidOf(t, "/pid")
	write(t, broken, "")
	kill(t, pid)
	g.logs(t, "requests are refused")
	if resp, body := g.askRestart(t); resp.StatusCode == http.StatusOK {
		t.Errorf("a restart in vain: %s\n%s", resp.Status, head(body))
	}
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	g.restart(t)
	g.app.untilServed(t)
	if p, _ := g.told(t); p.Breaker != "closed" {
		t.Errorf("the breaker is %s", p.Breaker)
	}
}

// Sluice can be told to end at any time.
func TestEndMeanwhile(t *testing.T) {
	for name, tc := range map[string]struct {
		flags []string
		begin func(*testing.T, processGate, *gate)
	}{
		"it is starting": {
			[]string{"--command-ready", "/hold?gate=GATE"},
			func(t *testing.T, _ processGate, held *gate) { held.entered(t, 1) },
		},
		"it is drained": {
			[]string{"--drain-timeout", "200ms"},
			func(t *testing.T, g processGate, held *gate) {
				g.app.inBackground(t, http.MethodPost, "/hold?gate="+held.dir)
				held.entered(t, 1)
				g.signal(t, syscall.SIGUSR2)
				g.awaitChildren(t, 2)
			},
		},
		"it rests": {
			[]string{"--command-idle-shutdown", "100ms"},
			func(t *testing.T, g processGate, _ *gate) { g.awaitChildren(t, 0) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			held := newGate(t)
			for i, flag := range tc.flags {
				tc.flags[i] = strings.ReplaceAll(flag, "GATE", held.dir)
			}
			g := startProcesses(t, account{}, troubled(t), tc.flags...)
			tc.begin(t, g, held)
			begun := time.Now()
			g.end(t)
			if d := time.Since(begun); d > 4*time.Second {
				t.Errorf("it took %v to end", d)
			}
		})
	}
}

// Signals that do not ask for the end do not bring it about while Sluice drains or ends
// its application: what is under way is answered, and nothing is left behind.
func TestSignalsWhileItEnds(t *testing.T) {
	t.Parallel()
	held, dir, log := newGate(t), socketDir(t), filepath.Join(t.TempDir(), "access")
	g := startProcessesIn(t, account{}, dir, troubled(t, "--ignore-term"), "--access-log", log)
	request := g.app.inBackground(t, http.MethodPost, "/hold?gate="+held.dir)
	held.entered(t, 1)
	kid := g.awaitChildren(t, 1)[0]
	g.signal(t, syscall.SIGTERM)
	g.logs(t, "msg=draining")
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1} {
		g.rotate(t, log, sig)
	}
	g.signal(t, syscall.SIGUSR2)
	held.pass(t)
	within(t, "the request that was under way", request).want(t, fmt.Sprintln(kid))
	g.app.client.CloseIdleConnections()
	g.logs(t, "msg=drained")
	g.signal(t, syscall.SIGHUP) // the application has not ended: SIGTERM means nothing to it
	g.signal(t, syscall.SIGUSR1)
	if err := g.wait(t); err != nil {
		t.Errorf("sluice ended with %v", err)
	}
	if err := wantGroupGone(t, kid); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

// rotate renames the access log, sends sig, and waits for the new log.
func (g processGate) rotate(t testing.TB, log string, sig syscall.Signal) {
	t.Helper()
	if err := os.Rename(log, log+sig.String()); err != nil {
		t.Fatal(err)
	}
	g.signal(t, sig)
	eventually(t, "there is a new log", func() error {
		_, err := os.Stat(log)
		return err
	})
}
