package memlimit

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

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/proctest"
	"github.com/sluice-proxy/sluice/bridge/supervise/internal/session"
)

// near is how far a measured size may be above what was taken: the test program itself, with the
// race detector, is that large.
const near = 48 * proctest.MiB

func wantUsed(t *testing.T, what string, used func() (uint64, error), want uint64) {
	t.Helper()
	got, err := used()
	if err != nil || got < want || got > want+near {
		t.Errorf("%s: %d bytes are used, %v; want %d and a little", what, got, err, want)
	}
}

func openMeter(t *testing.T, c Controller, name string) Meter {
	t.Helper()
	m, err := c.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func enterMeter(t *testing.T, m Meter, h *proctest.Process) {
	t.Helper()
	if err := m.Enter(h.PID()); err != nil {
		t.Fatal(err)
	}
}

func TestProcMeters(t *testing.T) {
	ms, err := New(Limits{}, nil, slog.New(slog.DiscardHandler))
	if err != nil || ms.Kind() != "proc" {
		t.Fatalf("kind %q, %v", ms.Kind(), err)
	}
	one, two := proctest.Start(t), proctest.Start(t)
	first, second := openMeter(t, ms, "1"), openMeter(t, ms, "2")
	wantUsed(t, "no child has entered", ms.Used, 0)
	enterMeter(t, first, one)
	enterMeter(t, second, two)
	one.Take(t, 64*proctest.MiB)
	two.Take(t, 100*proctest.MiB)
	wantUsed(t, "the first", first.Used, 64*proctest.MiB)
	wantUsed(t, "the second", second.Used, 100*proctest.MiB)
	wantUsed(t, "both", ms.Used, 164*proctest.MiB)
	if n := first.OOMKills(); n != 0 {
		t.Errorf("killed %d", n)
	}

	// A process in a group of its own is still in the session; one in a session of its own is not
	// known.
	group, away := one.Fork(t), one.ForkAway(t)
	if err := first.Kill(); err != nil {
		t.Fatal(err)
	}
	if proctest.IsAlive(one.PID()) || proctest.IsAlive(group) {
		t.Error("kill has left some alive")
	}
	if !proctest.IsAlive(two.PID()) || !proctest.IsAlive(away) {
		t.Error("kill has ended another's")
	}
	wantUsed(t, "all dead", first.Used, 0)
	wantUsed(t, "the other one", ms.Used, 100*proctest.MiB)
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if err := ms.Close(); err != nil || proctest.IsAlive(two.PID()) {
		t.Errorf("close: %v, alive %v", err, proctest.IsAlive(two.PID()))
	}
}

// A process that has the id of a child later is not the child.
func TestSessionOfAnother(t *testing.T) {
	h := proctest.Start(t)
	h.Take(t, 32*proctest.MiB)
	_, start, err := session.Identity(h.PID())
	if err != nil {
		t.Fatal(err)
	}
	m := &procMeter{all: newProcController(), session: session.Session{Leader: h.PID(), Start: start - 1}}
	if n, err := m.Used(); n != 0 || err != nil {
		t.Errorf("used %d, %v", n, err)
	}
	if err := m.Kill(); err != nil || !proctest.IsAlive(h.PID()) {
		t.Errorf("kill: %v, alive %v", err, proctest.IsAlive(h.PID()))
	}
	if _, ok := h.Do("take 1"); !ok {
		t.Error("it was ended")
	}
}

// asOrdinary is set in a test that runs once more as an ordinary user.
const asOrdinary = "SLUICE_TEST_ORDINARY"

// An ordinary user can do with its own children what root can.
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

// copyOfProgram copies this program to a directory that everybody can read and write.
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
	to, err := os.OpenFile(filepath.Join(dir, "memlimit.test"), os.O_CREATE|os.O_WRONLY, 0o755)
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
