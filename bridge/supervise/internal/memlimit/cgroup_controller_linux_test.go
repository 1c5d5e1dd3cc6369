//go:build owncgroups

package memlimit

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/proctest"
	"github.com/sluice-proxy/sluice/bridge/supervise/internal/session"
)

// These tests need cgroups that are the test's own: integration/memory_cgroup_test.go has
// machines for them, and builds with the tag.

func newTestController(t *testing.T, limits Limits) *cgroupController {
	t.Helper()
	proctest.NeedCgroups(t)
	var log bytes.Buffer
	recorded := ""
	c, err := New(limits, func(cgroup string) error { recorded = cgroup; return nil }, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	of, ok := c.(*cgroupController)
	if !ok || of.Kind() != "cgroup v2" || recorded != string(of.group) {
		t.Fatalf("kind %q, recorded %q: %s", c.Kind(), recorded, &log)
	}
	t.Cleanup(func() {
		if err := of.Close(); err != nil {
			t.Error(err)
		}
		wantNoCgroup(t, of.group)
	})
	return of
}

func wantNoCgroup(t *testing.T, c cgroup) {
	t.Helper()
	if _, err := os.Stat(string(c)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", c, err)
	}
}

// endsSoon reports whether a process has ended, or does: the kernel kills those of a cgroup
// one after the other.
func endsSoon(pid int) bool {
	for deadline := time.Now().Add(session.KillTimeout); proctest.IsAlive(pid) && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	return !proctest.IsAlive(pid)
}

func TestCgroupUse(t *testing.T) {
	ms := newTestController(t, Limits{Soft: 512 * proctest.MiB})
	one, two := proctest.Start(t), proctest.Start(t)
	first, second := openMeter(t, ms, "1"), openMeter(t, ms, "2")
	enterMeter(t, first, one)
	enterMeter(t, second, two)
	one.Take(t, 64*proctest.MiB)
	two.Take(t, 40*proctest.MiB)
	wantUsed(t, "the first", first.Used, 64*proctest.MiB)
	wantUsed(t, "the second", second.Used, 40*proctest.MiB)
	wantUsed(t, "both", ms.Used, 104*proctest.MiB)

	// No descendant escapes.
	group, away := one.Fork(t), one.ForkAway(t)
	if err := first.Close(); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("close with a child alive: %v", err)
	}
	if err := first.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{one.PID(), group, away} {
		if proctest.IsAlive(pid) {
			t.Errorf("process %d is alive", pid)
		}
	}
	if !proctest.IsAlive(two.PID()) {
		t.Error("kill has ended another's")
	}
	if err := errors.Join(first.Close(), first.Close()); err != nil {
		t.Error(err)
	}
	wantNoCgroup(t, first.(*cgroupMeter).cgroup)
	if n := first.OOMKills() + second.OOMKills(); n != 0 {
		t.Errorf("the kernel has killed %d", n)
	}
	// Close kills what is left.
	if err := ms.Close(); err != nil || proctest.IsAlive(two.PID()) {
		t.Errorf("close: %v, alive %v", err, proctest.IsAlive(two.PID()))
	}
}

// The page cache can be taken back at once: it does not count.
func TestCgroupFileCache(t *testing.T) {
	ms := newTestController(t, Limits{Hard: 512 * proctest.MiB})
	disk := os.Getenv("SLUICE_TEST_DISK")
	if disk == "" {
		t.Fatal("SLUICE_TEST_DISK is not set: there is no file system on a disk to read from")
	}
	h, m := proctest.Start(t), openMeter(t, ms, "1")
	enterMeter(t, m, h)
	if _, ok := h.Do("read %s", disk); !ok {
		t.Fatal("it could not be read")
	}
	c := m.(*cgroupMeter).cgroup
	if n, err := c.number(memoryCurrent); err != nil || n < 64*proctest.MiB {
		t.Fatalf("usage %d, %v: the file is not in memory", n, err)
	}
	wantUsed(t, "a file was read", m.Used, 0)
}

func TestCgroupHardLimit(t *testing.T) {
	ms := newTestController(t, Limits{Hard: 64 * proctest.MiB, Total: 512 * proctest.MiB})
	h, other := proctest.Start(t), proctest.Start(t)
	m, of := openMeter(t, ms, "1"), openMeter(t, ms, "2")
	enterMeter(t, m, h)
	enterMeter(t, of, other)
	member := h.ForkAway(t)
	h.Take(t, 40*proctest.MiB)
	other.Take(t, 40*proctest.MiB)
	if _, ok := h.Do("take %d", 40*proctest.MiB); ok {
		t.Error("it got more than the limit")
	}
	h.WantKilled(t)
	if n := m.OOMKills(); n == 0 || of.OOMKills() != 0 {
		t.Errorf("killed are %d and %d of the other", n, of.OOMKills())
	}
	if !endsSoon(member) {
		t.Error("a part of the instance was left")
	}
	if err := errors.Join(m.Kill(), m.Close()); err != nil || proctest.IsAlive(member) {
		t.Errorf("kill and close: %v, a part is alive: %v", err, proctest.IsAlive(member))
	}
	other.Take(t, proctest.MiB)
}

func TestCgroupTotal(t *testing.T) {
	ms := newTestController(t, Limits{Total: 100 * proctest.MiB})
	one, two := proctest.Start(t), proctest.Start(t)
	first, second := openMeter(t, ms, "1"), openMeter(t, ms, "2")
	enterMeter(t, first, one)
	enterMeter(t, second, two)
	one.Take(t, 20*proctest.MiB)
	two.Take(t, 60*proctest.MiB)
	// Which process is killed is the kernel's choice. It may be both: the kernel does not always wait
	// until the first has given its memory back.
	_, _ = one.Do("take %d", 30*proctest.MiB)
	killed := 0
	for m, h := range map[Meter]*proctest.Process{first: one, second: two} {
		if m.OOMKills() > 0 {
			killed++
			h.WantKilled(t)
		}
	}
	if killed == 0 {
		t.Error("no process was killed")
	}
	if used, err := ms.Used(); err != nil || used > 100*proctest.MiB {
		t.Errorf("used %d, %v", used, err)
	}
}

// Each child has a Meter of its own.
func TestCgroupsOneAfterAnother(t *testing.T) {
	ms := newTestController(t, Limits{Hard: 64 * proctest.MiB})
	for n := range 20 {
		h, m := proctest.Start(t), openMeter(t, ms, fmt.Sprint(n))
		enterMeter(t, m, h)
		if err := m.Kill(); err != nil {
			t.Fatal(err)
		}
		h.WantKilled(t)
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := ms.group.children(); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

// There may be two Controllers in a program.
func TestCgroupTwice(t *testing.T) {
	one := newTestController(t, Limits{Hard: 64 * proctest.MiB})
	two := newTestController(t, Limits{Hard: 64 * proctest.MiB})
	if one.group == two.group || filepath.Dir(string(one.group)) != filepath.Dir(string(two.group)) {
		t.Errorf("groups are %s and %s", one.group, two.group)
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	h, m := proctest.Start(t), openMeter(t, two, "1")
	enterMeter(t, m, h)
	h.Take(t, proctest.MiB)
}
