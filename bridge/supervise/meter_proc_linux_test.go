package supervise

import (
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// near is how far a measured size may be above what was taken: two programs, with the race
// detector, are that large themselves.
const near = 48 * mib

func wantUsed(t *testing.T, what string, used func() (uint64, error), want uint64) {
	t.Helper()
	got, err := used()
	if err != nil || got < want || got > want+near {
		t.Errorf("%s: %d bytes are used, %v; want %d and a little", what, got, err, want)
	}
}

func openMeter(t *testing.T, ms meters, name string) meter {
	t.Helper()
	m, err := ms.open(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func enterMeter(t *testing.T, m meter, h *holder) {
	t.Helper()
	if err := m.enter(h.Process.Pid); err != nil {
		t.Fatal(err)
	}
}

func TestProcMeters(t *testing.T) {
	ms, err := newMeters(Memory{}, t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil || ms.kind() != "proc" {
		t.Fatalf("kind %q, %v", ms.kind(), err)
	}
	one, two := startHolder(t), startHolder(t)
	first, second := openMeter(t, ms, "1"), openMeter(t, ms, "2")
	wantUsed(t, "nobody has entered", ms.used, 0)
	enterMeter(t, first, one)
	enterMeter(t, second, two)
	one.take(t, 64*mib)
	two.take(t, 100*mib)
	wantUsed(t, "the first", first.used, 64*mib)
	wantUsed(t, "the second", second.used, 100*mib)
	wantUsed(t, "both", ms.used, 164*mib)
	if first.killed() != 0 || first.path() != "" {
		t.Errorf("killed %d, path %q", first.killed(), first.path())
	}

	// One in a process group of its own is still in the session; one in a session of its
	// own is not known to be its.
	group, away := one.fork(t, "fork"), one.fork(t, "fork away")
	if err := first.kill(); err != nil {
		t.Fatal(err)
	}
	if isAlive(one.Process.Pid) || isAlive(group) {
		t.Error("kill has left some alive")
	}
	if !isAlive(two.Process.Pid) || !isAlive(away) {
		t.Error("kill has ended another's")
	}
	wantUsed(t, "all dead", first.used, 0)
	wantUsed(t, "the other one", ms.used, 100*mib)
	if err := first.close(); err != nil {
		t.Error(err)
	}
	if err := ms.close(); err != nil || isAlive(two.Process.Pid) {
		t.Errorf("close: %v, alive %v", err, isAlive(two.Process.Pid))
	}
}

// A process id that has come to mean another process is not the child's any more.
func TestSessionOfAnother(t *testing.T) {
	h := startHolder(t)
	h.take(t, 32*mib)
	_, start, err := identity(h.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	m := &procMeter{all: newProcMeters(), session: session{h.Process.Pid, start - 1}}
	if n, err := m.used(); n != 0 || err != nil {
		t.Errorf("used %d, %v", n, err)
	}
	if err := m.kill(); err != nil || !isAlive(h.Process.Pid) {
		t.Errorf("kill: %v, alive %v", err, isAlive(h.Process.Pid))
	}
	if _, ok := h.do("take 1"); !ok {
		t.Error("it was ended")
	}
}

// asOrdinary is set in tests that were started once more as an ordinary user.
const asOrdinary = "SLUICE_TEST_ORDINARY"

// What root can do, an ordinary user can, with children of its own.
func TestProcMetersAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 || os.Getenv(asOrdinary) != "" {
		TestProcMeters(t)
		return
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.ParseUint(nobody.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(copyOfProgram(t), "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), asOrdinary+"=1", "TMPDIR="+filepath.Dir(cmd.Path))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// copyOfProgram copies this program to where everybody may run it, and write.
func copyOfProgram(t *testing.T) (path string) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "sluice-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.OpenFile(filepath.Join(dir, "supervise.test"), os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	return to.Name()
}
