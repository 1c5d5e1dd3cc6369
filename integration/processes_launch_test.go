//go:build linux

package integration

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// unexecutable is a shell script whose file does not answer whoever executes it, as on a
// network file system that hangs: until it is released, or for lease-break-time (45 s).
func unexecutable(t *testing.T, script string) (path string, release func()) {
	t.Helper()
	path = filepath.Join(socketDir(t), "app")
	write(t, path, "#!/bin/sh\n%s\n", script)
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	// The holder of a lease is told by a signal when somebody wants the file: by one that Go
	// does not mind.
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETSIG, int(syscall.SIGURG)); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		t.Fatal(err)
	}
	return path, func() { f.Close() }
}

// atOnce fails if f blocks.
func atOnce[T any](t *testing.T, what string, f func() T) T {
	t.Helper()
	done := make(chan T, 1)
	go func() { done <- f() }()
	select {
	case result := <-done:
		return result
	case <-time.After(10 * time.Second):
		t.Fatalf("%s blocks", what)
		panic("unreachable")
	}
}

// A command that cannot be executed yet holds nobody up: its start is not waited for, all
// can be asked, and when its file answers it runs.
func TestExecBlocks(t *testing.T) {
	t.Parallel()
	path, release := unexecutable(t, "exec sleep 60")
	cfg := supervise.Config{Command: []string{path}, TempDir: socketDir(t), Reexec: true}
	begun := time.Now()
	g, err := supervise.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if d := time.Since(begun); d > patience/2 {
		t.Errorf("Start took %v", d)
	}
	in := atOnce(t, "Snapshot", g.Snapshot).Instances[0]
	if in.State != "starting" || in.PID == 0 || g.Snapshot().Started != 0 {
		t.Errorf("the instance is %+v", in)
	}
	cfg.MaxRequests = 7
	if err := atOnce(t, "Configure", func() error { return g.Configure(cfg) }); err != nil {
		t.Error(err)
	}
	release()
	eventually(t, "it runs", func() error {
		if g.Snapshot().Started == 0 {
			return errNotYet
		}
		return nil
	})
}

// One that never can be executed is ended in time all the same.
func TestExecBlocksUntilTheEnd(t *testing.T) {
	t.Parallel()
	path, _ := unexecutable(t, "exec sleep 60")
	dir := socketDir(t)
	g, err := supervise.Start(t.Context(), supervise.Config{Command: []string{path}, TempDir: dir, Reexec: true})
	if err != nil {
		t.Fatal(err)
	}
	pid := g.Snapshot().Instances[0].PID
	if err := atOnce(t, "Close", g.Close); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("there are %v, %v", left, err)
	}
	if err := wantGroupGone(t, pid); err != nil {
		t.Error(err)
	}
}

// What a gate shows of such a command, and what becomes of it.
func TestGateWhileExecBlocks(t *testing.T) {
	t.Parallel()
	path, release := unexecutable(t, `echo "it runs"; exec sleep 60`)
	g := startProcesses(t, account{}, exec.Command(path), "--command-start-timeout", "7s")
	told, text := g.told(t)
	if len(told.Instances) != 1 || told.Instances[0].State != "starting" || told.Instances[0].PID == 0 {
		t.Errorf("status.json has %s", text)
	}
	if metrics := g.status.get(t, "/metrics"); !strings.Contains(metrics, "sluice_application_started_total 0") {
		t.Errorf("/metrics has %s", head(metrics))
	}
	g.logs(t, "the command is being started, and does not run yet")
	g.logs(t, "a process is not ready in time; it is ended")
	g.logs(t, "has not been executed yet")
	release()
	g.logs(t, "it runs")
	if resp, body := g.status.do(t, g.status.request(t, http.MethodGet, "/healthz", nil)); resp.StatusCode != http.StatusOK {
		t.Errorf("/healthz: %s\n%s", resp.Status, head(body))
	}
}

// stalledLog is a log that does not come back until the test ends.
type stalledLog struct {
	slog.Handler
	over <-chan struct{}
}

func (h stalledLog) Handle(context.Context, slog.Record) error {
	<-h.over
	return nil
}

func (h stalledLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return stalledLog{h.Handler.WithAttrs(attrs), h.over}
}

// A log that nobody reads stops neither the processes nor what they write, their
// replacement or their end.
func TestStalledLog(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	defer close(over)
	out := filepath.Join(socketDir(t), "said")
	g := startProcess(t, "yes | head -c 1000000; touch "+out+"; exec sleep 60", supervise.Config{
		Logger: slog.New(stalledLog{slog.NewTextHandler(io.Discard, nil), over}),
		Ready:  func(context.Context, string) error { return nil },
	})
	said(t, out)
	first := atOnce(t, "Snapshot", g.Snapshot).Instances[0].PID
	if err := atOnce(t, "Restart", func() error { return g.Restart(t.Context()) }); err != nil || g.pid() == first {
		t.Errorf("restart: %v, process %d after %d", err, g.pid(), first)
	}
	atOnce(t, "Close", g.Close)
}

// The child enters its working directory itself: if that does not answer, it alone waits.
func TestWorkingDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(socketDir(t), "work")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	g := startProcess(t, "exec sleep 60", supervise.Config{Dir: dir})
	if at, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", g.pid())); err != nil || at != dir {
		t.Errorf("it is in %s, %v", at, err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := g.Restart(t.Context()); err == nil || !strings.Contains(err.Error(), "in working directory "+dir+": no such file or directory") {
		t.Errorf("a restart in a directory that is gone: %v", err)
	}
}
