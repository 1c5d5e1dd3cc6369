//go:build linux

package integration

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/integration/internal/freeport"
)

// patience bounds every wait in this package. It is a bound for a broken
// machine, never a measure: what is waited for is always an event.
const patience = 30 * time.Second

// need returns the path of the first of the programs that is installed;
// patterns as in filepath.Glob are allowed.
func need(t testing.TB, programs ...string) string {
	t.Helper()
	for _, p := range programs {
		if found, err := exec.LookPath(p); err == nil {
			return found
		}
		if found, err := filepath.Glob(p); err == nil && len(found) > 0 {
			return found[len(found)-1]
		}
	}
	missing(t, strings.Join(programs, " or "))
	return ""
}

// missing ends a test whose backend is not installed. This is the only place
// that skips: a laptop without the backend. In CI, and where setup.sh could
// have installed it, a missing backend is a failure.
func missing(t testing.TB, what string) {
	t.Helper()
	_, notDebian := os.Stat("/etc/debian_version")
	if os.Getenv("CI") == "true" || (os.Geteuid() == 0 && notDebian == nil) {
		t.Fatalf("%s is not installed: run integration/setup.sh as root", what)
	}
	t.Skipf("\n*** NOT TESTED: %s is not installed; integration/setup.sh installs it on Debian ***", what)
}

// process is a child in its own process group.
type process struct {
	*exec.Cmd
	output *tail
	ended  chan struct{} // closed when it was waited for
	err    error         // of Wait; read after ended
}

// start runs cmd until the test ends, then kills its whole process group. What
// it wrote is in the test's log if the test failed.
func start(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{Cmd: cmd, output: &tail{}, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.output, p.output
	// The signal on the parent's death covers a test binary that dies of its
	// own timeout and runs no cleanup.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = patience
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		// The group may be gone, leader and all; that is as good.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-p.ended
		if t.Failed() {
			t.Logf("output of %s (%v):\n%s", filepath.Base(cmd.Path), p.err, p.output)
		}
	})
	return p
}

// wait returns how the process ended.
func (p *process) wait(t testing.TB) error {
	t.Helper()
	select {
	case <-p.ended:
		return p.err
	case <-time.After(patience):
		t.Fatalf("%s did not end", filepath.Base(p.Path))
		return nil
	}
}

// tail keeps the last 64 KiB written to it.
type tail struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	written int64 // in all
}

func (o *tail) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf.Write(p)
	o.written += int64(len(p))
	if over := o.buf.Len() - 128<<10; over > 0 {
		o.buf.Next(over + 64<<10)
	}
	return len(p), nil
}

func (o *tail) size() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.written
}

func (o *tail) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// socketDir is a private directory for sockets. t.TempDir names can be longer
// than the 107 bytes of a socket's name.
func socketDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "it")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// listenUnix returns a listening socket as a file, to be fd 0 of a child, and
// its address. It listens before the child runs: there is no readiness to wait for.
func listenUnix(t testing.TB) (*os.File, string) {
	t.Helper()
	path := filepath.Join(socketDir(t), "app.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	defer l.Close()
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, "unix:" + path
}

// startOnSocket starts cmd with a listening unix socket as its fd 0, as
// FastCGI specifies it, and returns the socket's address.
func startOnSocket(t testing.TB, cmd *exec.Cmd) (*process, string) {
	t.Helper()
	f, addr := listenUnix(t)
	cmd.Stdin = f
	p := start(t, cmd)
	f.Close() // so that connections fail when the child is gone
	return p, addr
}

// freeAddress returns a TCP address of this machine that is free until the test ends.
func freeAddress(t testing.TB) string {
	t.Helper()
	addr, release, err := freeport.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return addr
}

// awaitSocket waits until something listens at path.
func awaitSocket(t testing.TB, p *process, path string) {
	t.Helper()
	awaitAddress(t, p, "unix", path)
}

// awaitAddress waits until something listens at an address.
func awaitAddress(t testing.TB, p *process, network, addr string) {
	t.Helper()
	eventually(t, "listen on "+addr, func() error {
		select {
		case <-p.ended:
			t.Fatalf("%s ended: %v", filepath.Base(p.Path), p.err)
		default:
		}
		c, err := net.Dial(network, addr)
		if err != nil {
			return err
		}
		return c.Close()
	})
}

// eventually asks until the answer is nil. For states that no event announces.
func eventually(t testing.TB, what string, check func() error) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// write creates a file, and the directories above it.
func write(t testing.TB, path, format string, args ...any) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, format, args...), 0o644); err != nil {
		t.Fatal(err)
	}
}

// run runs a program to its end and returns what it wrote.
func run(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out)
}

// testdata returns the absolute path of a file in testdata.
func testdata(t testing.TB, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}
