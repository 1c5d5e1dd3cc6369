//go:build linux

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// kill -9 of sluice: what it has started and does not end by itself is ended by the
// next one, and nothing else is.
func TestSluiceIsKilled(t *testing.T) {
	dir := socketDir(t)
	// It ignores the signal it gets, as do its children; one of them has left its group.
	out := filepath.Join(dir, "said")
	gate := startGateIn(t, dir, "--", "sh", "-c", fmt.Sprintf(
		`trap "" TERM; setsid sleep 600 & gone=$!; sleep 601 & echo $gone $! $$ >%[1]s.new; mv %[1]s.new %[1]s; while :; do sleep 602; done`, out))
	var left, member, leader int
	if _, err := fmt.Sscan(said(t, out)[0], &left, &member, &leader); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(left, syscall.SIGKILL)
		_ = syscall.Kill(-leader, syscall.SIGKILL)
	})
	eventually(t, "one has left the group", func() error {
		if group, _ := stat(left); group != left {
			return errNotYet
		}
		return nil
	})
	// A stranger's directory, and one whose owner lives.
	stranger := filepath.Join(dir, "sluice-stranger")
	if err := os.Mkdir(stranger, 0o700); err != nil {
		t.Fatal(err)
	}
	alive := startProcess(t, "exec sleep 600", supervise.Config{TempDir: dir})

	if err := gate.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-gate.ended
	for _, pid := range []int{left, member, leader} {
		if wantGone(pid) == nil {
			t.Fatalf("process %d has not survived: there is nothing to end", pid)
		}
	}
	log := &tail{}
	next := startProcess(t, "exec sleep 600", supervise.Config{TempDir: dir, Logger: textLog(log)})
	for _, pid := range []int{member, leader} {
		eventually(t, fmt.Sprintf("process %d ends", pid), func() error { return wantGone(pid) })
	}
	if !strings.Contains(log.String(), "a killed process had left this behind") {
		t.Errorf("the log says\n%s", log)
	}
	if wantGone(left) == nil {
		t.Error("a process that had left the group was ended")
	}
	if wantGone(alive.pid()) == nil {
		t.Error("a process whose owner lives was ended")
	}
	want := []string{filepath.Base(stranger), dirOf(alive), dirOf(next)}
	entries, err := filepath.Glob(filepath.Join(dir, "sluice-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		found := false
		for _, w := range want {
			found = found || w == filepath.Base(e)
		}
		if !found {
			t.Errorf("%s is still there", e)
		}
	}
	if len(entries) != len(want) {
		t.Errorf("directories are %v, want %v", entries, want)
	}
}

func dirOf(p running) string {
	return filepath.Base(filepath.Dir(strings.TrimPrefix(p.addr(), "unix:")))
}

// A record that has come to mean another process ends nothing.
func TestSweepSparesOthers(t *testing.T) {
	dir := socketDir(t)
	victim := startProcess(t, "sleep 600 & exec sleep 601", supervise.Config{})
	eventually(t, "it has a child", func() error {
		if len(children(t, victim.pid())) != 1 {
			return errNotYet
		}
		return nil
	})
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	stale := filepath.Join(dir, "sluice-1")
	if err := os.Mkdir(stale, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(stale, "lock"), "")
	write(t, filepath.Join(stale, "running.json"), `{"token":"ANOTHER","boot":%q,"pid":%d,"start":1}`, strings.TrimSpace(string(boot)), victim.pid())
	kid := children(t, victim.pid())[0]
	log := &tail{}
	startProcess(t, "exec sleep 600", supervise.Config{TempDir: dir, Logger: textLog(log)})
	if wantGone(victim.pid()) == nil || wantGone(kid) == nil {
		t.Error("another's processes were ended")
	}
	if !strings.Contains(log.String(), "cannot be proven") {
		t.Errorf("the log says\n%s", log)
	}
}
