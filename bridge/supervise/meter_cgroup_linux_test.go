//go:build owncgroups

package supervise

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// These tests need cgroups that are the test's own: integration/memory_cgroup_test.go has
// machines for them, and builds with the tag.

// cgroupVariable is set where the cgroups are the test's own.
const cgroupVariable = "SLUICE_TEST_CGROUP"

// newTestMeters makes meters that use cgroups, in a run directory that they are recorded in.
func newTestMeters(t *testing.T, limits Memory) (ms *cgroupMeters, runDir string) {
	t.Helper()
	needCgroups(t)
	var log bytes.Buffer
	runDir = t.TempDir()
	all, err := newMeters(limits, runDir, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ms, ok := all.(*cgroupMeters)
	if !ok || ms.kind() != "cgroup v2" {
		t.Fatalf("kind %q: %s", all.kind(), &log)
	}
	t.Cleanup(func() {
		if err := ms.close(); err != nil {
			t.Error(err)
		}
		wantNoCgroup(t, ms.group)
	})
	return ms, runDir
}

func needCgroups(t *testing.T) {
	t.Helper()
	if os.Getenv(cgroupVariable) == "" {
		t.Fatalf("%s is not set: are these cgroups the test's own?", cgroupVariable)
	}
}

func wantNoCgroup(t *testing.T, c cgroup) {
	t.Helper()
	if _, err := os.Stat(string(c)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", c, err)
	}
}

// wantKilled waits for the end of a holder that was to be killed.
func wantKilled(t *testing.T, h *holder) {
	t.Helper()
	_ = h.Wait()
	if s, ok := h.ProcessState.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGKILL {
		t.Errorf("it ended with %v, want it killed", h.ProcessState)
	}
}

// endsSoon reports whether a process has ended, or does: the kernel kills those of a cgroup
// one after the other.
func endsSoon(t *testing.T, pid int) bool {
	t.Helper()
	p, err := os.FindProcess(pid)
	if err != nil {
		return true
	}
	defer p.Release()
	if err := awaitEnd(p, time.Now().Add(killTime)); err != nil {
		t.Error(err)
	}
	return !isAlive(pid)
}

func TestCgroupUse(t *testing.T) {
	ms, _ := newTestMeters(t, Memory{Soft: 512 * mib})
	one, two := startHolder(t), startHolder(t)
	first, second := openMeter(t, ms, "1"), openMeter(t, ms, "2")
	enterMeter(t, first, one)
	enterMeter(t, second, two)
	one.take(t, 64*mib)
	two.take(t, 40*mib)
	wantUsed(t, "the first", first.used, 64*mib)
	wantUsed(t, "the second", second.used, 40*mib)
	wantUsed(t, "both", ms.used, 104*mib)

	// Nobody gets away.
	group, away := one.fork(t, "fork"), one.fork(t, "fork away")
	if err := first.close(); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("close with a child alive: %v", err)
	}
	if err := first.kill(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{one.Process.Pid, group, away} {
		if isAlive(pid) {
			t.Errorf("process %d is alive", pid)
		}
	}
	if !isAlive(two.Process.Pid) {
		t.Error("kill has ended another's")
	}
	if err := errors.Join(first.close(), first.close()); err != nil {
		t.Error(err)
	}
	wantNoCgroup(t, cgroup(first.path()))
	if n := first.killed() + second.killed(); n != 0 {
		t.Errorf("the kernel has killed %d", n)
	}
	// close ends what is left.
	if err := ms.close(); err != nil || isAlive(two.Process.Pid) {
		t.Errorf("close: %v, alive %v", err, isAlive(two.Process.Pid))
	}
}

// What was read from files can be had back at once: it does not count.
func TestCgroupFileCache(t *testing.T) {
	ms, _ := newTestMeters(t, Memory{Hard: 512 * mib})
	disk := os.Getenv("SLUICE_TEST_DISK")
	if disk == "" {
		t.Fatal("SLUICE_TEST_DISK is not set: there is no file system on a disk to read from")
	}
	h, m := startHolder(t), openMeter(t, ms, "1")
	enterMeter(t, m, h)
	if _, ok := h.do("read %s", disk); !ok {
		t.Fatal("it could not be read")
	}
	c := cgroup(m.path())
	if n, err := c.number(memoryCurrent); err != nil || n < 64*mib {
		t.Fatalf("usage %d, %v: the file is not in memory", n, err)
	}
	wantUsed(t, "a file was read", m.used, 0)
}

func TestCgroupHardLimit(t *testing.T) {
	ms, _ := newTestMeters(t, Memory{Hard: 64 * mib, Total: 512 * mib})
	h, other := startHolder(t), startHolder(t)
	m, of := openMeter(t, ms, "1"), openMeter(t, ms, "2")
	enterMeter(t, m, h)
	enterMeter(t, of, other)
	member := h.fork(t, "fork away")
	h.take(t, 40*mib)
	other.take(t, 40*mib)
	if _, ok := h.do("take %d", 40*mib); ok {
		t.Error("it got more than the limit")
	}
	wantKilled(t, h)
	if n := m.killed(); n == 0 || of.killed() != 0 {
		t.Errorf("killed are %d and %d of the other", n, of.killed())
	}
	if !endsSoon(t, member) {
		t.Error("a part of the instance was left")
	}
	if err := errors.Join(m.kill(), m.close()); err != nil || isAlive(member) {
		t.Errorf("kill and close: %v, a part is alive: %v", err, isAlive(member))
	}
	other.take(t, mib)
}

func TestCgroupTotal(t *testing.T) {
	ms, _ := newTestMeters(t, Memory{Total: 100 * mib})
	one, two := startHolder(t), startHolder(t)
	first, second := openMeter(t, ms, "1"), openMeter(t, ms, "2")
	enterMeter(t, first, one)
	enterMeter(t, second, two)
	one.take(t, 20*mib)
	two.take(t, 60*mib)
	// Whom the kernel ends is its choice. It may be both: it does not always wait until the
	// first has given back what it had.
	_, _ = one.do("take %d", 30*mib)
	killed := 0
	for m, h := range map[meter]*holder{first: one, second: two} {
		if m.killed() > 0 {
			killed++
			wantKilled(t, h)
		}
	}
	if killed == 0 {
		t.Error("nobody was killed")
	}
	if used, err := ms.used(); err != nil || used > 100*mib {
		t.Errorf("used %d, %v", used, err)
	}
}

// A meter is made, and given up, for every child that there ever was.
func TestCgroupsOneAfterAnother(t *testing.T) {
	ms, _ := newTestMeters(t, Memory{Hard: 64 * mib})
	for n := range 20 {
		h, m := startHolder(t), openMeter(t, ms, fmt.Sprint(n))
		enterMeter(t, m, h)
		if err := m.kill(); err != nil {
			t.Fatal(err)
		}
		wantKilled(t, h)
		if err := m.close(); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := ms.group.children(); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

// Two gates in one program, and one after the other.
func TestCgroupTwice(t *testing.T) {
	one, _ := newTestMeters(t, Memory{Hard: 64 * mib})
	two, _ := newTestMeters(t, Memory{Hard: 64 * mib})
	if one.group == two.group || filepath.Dir(string(one.group)) != filepath.Dir(string(two.group)) {
		t.Errorf("groups are %s and %s", one.group, two.group)
	}
	if err := one.close(); err != nil {
		t.Fatal(err)
	}
	h, m := startHolder(t), openMeter(t, two, "1")
	enterMeter(t, m, h)
	h.take(t, mib)
}

// A program that wants too much is ended by the kernel, with all that it has started, and
// is started again.
func TestCgroupOfAProgram(t *testing.T) {
	needCgroups(t)
	says := make(saying, 100)
	g, err := Start(Config{
		Command: []string{"/proc/self/exe"}, Env: []string{holderVariable + "=fork away;take 104857600"}, Reexec: true,
		Memory: Memory{Hard: 64 * mib}, TempDir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(says, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	first := says.await(t, "the command is running", "pid")
	away := says.await(t, "command output", "line")
	if err := syscall.Kill(first, syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	second := says.await(t, "the command is running", "pid")
	if isAlive(first) || isAlive(away) || !isAlive(second) {
		t.Errorf("alive are %v, %v, and the next %v", isAlive(first), isAlive(away), isAlive(second))
	}
	if exits := g.Snapshot().Storm.Exits; len(exits) != 1 || !exits[0].OutOfMemory || exits[0].PID != first {
		t.Errorf("exits are %+v", exits)
	}
	if kind := g.Snapshot().Memory.Kind; kind != "cgroup v2" {
		t.Errorf("kind %q", kind)
	}
	away = says.await(t, "command output", "line")
	if err := g.Close(); err != nil || isAlive(second) || isAlive(away) {
		t.Errorf("Close: %v, alive are %v, %v", err, isAlive(second), isAlive(away))
	}
}

// saying is a log's lines as they are written.
type saying chan string

func (s saying) Write(line []byte) (int, error) {
	s <- string(line)
	return len(line), nil
}

// await waits for a line with a message, and returns a number in it.
func (s saying) await(t *testing.T, message, key string) (n int) {
	t.Helper()
	for line := range s {
		t.Log(strings.TrimSuffix(line, "\n"))
		_, rest, found := strings.Cut(line, " "+key+"=")
		if !found || !strings.Contains(line, message) {
			continue
		}
		if _, err := fmt.Sscan(rest, &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	panic("unreachable: nobody closes it")
}

// What a killed process of ours had is ended, those who left its groups too, and removed.
func TestSweepOfCgroups(t *testing.T) {
	ms, runDir := newTestMeters(t, Memory{Hard: 64 * mib})
	h, m := startHolder(t), openMeter(t, ms, "1")
	enterMeter(t, m, h)
	away := h.fork(t, "fork away")
	own := cgroup(m.path()).child("own") // as the application may make one
	if err := errors.Join(own.make(), own.enter(away)); err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	dead := filepath.Join(dir, "sluice-1")
	if err := os.Rename(runDir, dead); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Mkdir(runDir, 0o755) }) // the test's, which is removed
	if err := errors.Join(os.Chmod(dead, 0o700), os.WriteFile(filepath.Join(dead, lockName), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	sweep(dir, slog.New(slog.NewTextHandler(&log, nil)))
	wantKilled(t, h)
	if isAlive(away) {
		t.Error("one who had left is alive")
	}
	wantNoCgroup(t, ms.group)
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v: %s", left, err, &log)
	}
	if !strings.Contains(log.String(), "had left this behind") {
		t.Errorf("the log says %s", &log)
	}
}
