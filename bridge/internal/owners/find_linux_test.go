package owners

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"reflect"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sluice-proxy/sluice/bridge/internal/acceptqueue"
)

func TestOwners(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	child := exec.Command("sleep", "60")
	child.Stdin = f
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	}()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	q, err := acceptqueue.Of("unix", path)
	if err != nil {
		t.Fatal(err)
	}

	got := owned(t, q)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	want := Owner{PID: child.Process.Pid, Command: "sleep", User: me.Username, Threads: 1, Arguments: []string{"sleep", "60"}, Dir: here}
	if len(got) != 2 || got[os.Getpid()].User != me.Username || got[os.Getpid()].Threads < 2 || !reflect.DeepEqual(got[child.Process.Pid], want) {
		t.Errorf("owners are %v, want this process (%d) and its child (%d)", got, os.Getpid(), child.Process.Pid)
	}
	// A child that lives on alone is what holds a socket after a crash.
	f.Close()
	l.SetUnlinkOnClose(false)
	l.Close()
	if got := owned(t, q); len(got) != 1 || got[child.Process.Pid].Command != "sleep" {
		t.Errorf("owners are %v, want the child (%d) alone", got, child.Process.Pid)
	}
}

func owned(t *testing.T, q acceptqueue.Queue) map[int]Owner {
	t.Helper()
	list, err := Of(q.Inodes)
	var hidden *HiddenError
	if err != nil && !errors.As(err, &hidden) {
		t.Fatal(err)
	}
	byPID := make(map[int]Owner)
	for _, o := range list {
		byPID[o.PID] = o
	}
	return byPID
}

// hiddenVariable makes the test binary the asker of TestHidden.
const hiddenVariable = "ACCEPTQUEUE_TEST_SOCKET"

// A process that may not be looked into is counted, not passed over. This one is
// made such a process; besides, root has somebody else ask.
func TestHidden(t *testing.T) {
	if path := os.Getenv(hiddenVariable); path != "" {
		askHidden(t, path)
		return
	}
	dir, err := os.MkdirTemp("/tmp", "aq")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	binary := filepath.Join(dir, "asker") // where anybody may run it
	if data, err := os.ReadFile("/proc/self/exe"); err != nil {
		t.Fatal(err)
	} else if err := os.WriteFile(binary, data, 0o755); err != nil {
		t.Fatal(err)
	}
	asker := exec.Command(binary, "-test.run", "^TestHidden$", "-test.count=1")
	asker.Dir = dir
	asker.Env = append(os.Environ(), hiddenVariable+"="+path)
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
	if os.Geteuid() == 0 {
		asker.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	if out, err := asker.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func askHidden(t *testing.T, path string) {
	q, err := acceptqueue.Of("unix", path)
	if err != nil || q.Backlog == 0 {
		t.Fatalf("the queue needs no privileges: %+v, %v", q, err)
	}
	list, err := Of(q.Inodes)
	var hidden *HiddenError
	if !errors.As(err, &hidden) || hidden.Processes == 0 {
		t.Errorf("%v, %v, want a HiddenError", list, err)
	}
}
