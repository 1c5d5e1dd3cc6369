//go:build linux

package integration

import (
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// upgradeSignal is SIGRTMIN+1.
const upgradeSignal = syscall.Signal(35)

// goneSince waits until no process is left, and fails if that takes as long as a process that hangs is given.
func (g *upgrading) goneSince(t testing.TB, told time.Time) {
	t.Helper()
	eventually(t, "all processes have ended", func() error {
		if all := g.processes(t); len(all) > 0 {
			return fmt.Errorf("there are %v", all)
		}
		return nil
	})
	if took := time.Since(told); took > 8*time.Second {
		t.Errorf("it took %v until all processes had ended", took)
	}
}

// SIGTERM in the middle of an upgrade is for whoever serves in the end: nothing is left, at once, and
// requests that have begun end.
func TestUpgradeTerminated(t *testing.T) {
	t.Parallel()
	be, stats := startThreaded(t, 8)
	for _, after := range []time.Duration{0, 20, 60, 100, 150, 190} {
		g := startUpgrading(t, "", fmt.Sprintf("[[application]]\nbackends = [%q]\nworkers = 8\n[[site]]\n", be.addr))
		former := g.alone(t)
		poll := g.app.background(t, t.Context(), "/poll?s=1")
		eventually(t, "the poll waits at the application", func() error {
			if c := countersOf(t, stats); c.Waiting == 0 {
				return errNotYet
			}
			return nil
		})
		done := make(chan error, 1)
		go func() {
			_, err := g.upgrade(t)
			done <- err
		}()
		eventually(t, "another process is there", func() error {
			if all := g.processes(t); len(all) < 2 && len(done) == 0 {
				return errNotYet
			}
			return nil
		})
		g.logs(t, "another process is started to take over")
		time.Sleep(after * time.Millisecond)
		told := time.Now()
		if err := syscall.Kill(former, syscall.SIGTERM); err != nil && err != syscall.ESRCH {
			t.Fatal(err)
		}
		err := <-done
		if o := within(t, "the request in progress", poll); o.err != nil || o.body != "polled\n" {
			// A process that finishes its requests when the signal comes does not wait for them any longer.
			g.logs(t, "another process has taken over; this one finishes its requests")
			if strings.Contains(g.output.String(), "draining") {
				t.Errorf("the request in progress got %d %q, %v", o.status, o.body, o.err)
			}
		}
		if strings.Contains(g.output.String(), "draining") {
			g.goneSince(t, told)
		}
		t.Logf("after %d ms: upgrade %v", after, err)
		told = time.Now()
		for _, pid := range g.processes(t) { // the signal was too late: another one was the service already
			_ = syscall.Kill(pid, syscall.SIGTERM)
		}
		g.goneSince(t, told)
	}
}

// While the former process still has workers, a reload of the new one reckons with them, a further
// upgrade is refused in the log as well, and the new process may end first.
func TestUpgradeThenReload(t *testing.T) {
	t.Parallel()
	be, stats := startThreaded(t, 8)
	text := func(workers int) string {
		return fmt.Sprintf("[[application]]\nbackends = [%q]\nworkers = %d\n[[site]]\n", be.addr, workers)
	}
	g := startUpgrading(t, "", text(8))
	former := g.alone(t)
	var polls sync.WaitGroup
	for range 3 {
		polls.Go(func() { g.app.get(t, "/poll?s=6") })
	}
	eventually(t, "polls wait at the application", func() error {
		if c := countersOf(t, stats); c.Waiting < 3 {
			return errNotYet
		}
		return nil
	})
	g.upgraded(t)
	all := g.processes(t)
	if len(all) != 2 {
		t.Fatalf("there are %v", all)
	}
	_ = syscall.Kill(all[1], upgradeSignal)
	g.logs(t, "the process before this one still finishes its requests")
	_ = syscall.Kill(former, upgradeSignal)
	g.logs(t, "a signal has reopened the access log alone")
	time.Sleep(time.Second) // what the former process still has was told by then, and stays the same
	g.configure(t, "", text(4))
	g.reloaded(t)
	for range 8 {
		polls.Go(func() {
			resp, err := http.Get(g.url + "/poll?s=0.2")
			if err != nil {
				t.Error(err)
				return
			}
			_ = resp.Body.Close()
		})
	}
	time.Sleep(time.Second)
	if c := countersOf(t, stats); c.MostOpen > 4 {
		t.Errorf("the application has 4 workers: %+v", c)
	}
	told := time.Now()
	_ = syscall.Kill(all[1], syscall.SIGTERM)
	polls.Wait()
	g.goneSince(t, told)
	if strings.Contains(g.output.String(), "the former process has ended") && !strings.Contains(g.output.String(), "drained") {
		t.Errorf("it has not ended before:\n%s", g.output)
	}
}

// The first process of a container is not replaced: all others end with it.
func TestUpgradeOfFirstProcess(t *testing.T) {
	t.Parallel()
	status := "unix:" + filepath.Join(socketDir(t), "status.sock")
	listen := "unix:" + filepath.Join(socketDir(t), "http.sock")
	start(t, exec.Command(need(t, "unshare"), append([]string{"--pid", "--fork", "--kill-child", sluiceBinary(), "serve", "--listen", listen, "--status", status, "--access-log", "off"}, startLibfcgi(t, 8).args()...)...))
	serves := func() error {
		_, err := unixSite(strings.TrimPrefix(listen, "unix:"))
		return err
	}
	eventually(t, "it serves", serves)
	out, err := exec.Command(sluiceBinary(), "upgrade", status).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 || !strings.Contains(string(out), "first of its container") {
		t.Errorf("%v, %s", err, out)
	}
	if err := serves(); err != nil {
		t.Error(err)
	}
}
