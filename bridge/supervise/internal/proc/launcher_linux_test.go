package proc

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/memlimit"
	"github.com/sluice-proxy/sluice/bridge/supervise/internal/proctest"
)

func newTestLauncher(t *testing.T) *Launcher {
	t.Helper()
	runtime.LockOSThread() // the children's death signal
	l, err := NewLauncher(t.TempDir(), "sh", memlimit.Limits{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// await waits for c, but not for ever.
func await(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		t.Fatalf("not %s after 10 s", what)
	}
}

func sh(script string, reexec bool) *Command {
	return &Command{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: os.Environ(), Reexec: reexec}
}

// A child runs the command with the socket as its standard input, is recorded meanwhile, and
// leaves nothing when it was stopped.
func TestChild(t *testing.T) {
	for name, reexec := range map[string]bool{"exec": false, "reexec": true} {
		t.Run(name, func(t *testing.T) {
			l := newTestLauncher(t)
			s, err := l.NewSocket(SocketConfig{Mode: Stdin, Backlog: 7}, 3)
			if err != nil {
				t.Fatal(err)
			}
			c := l.NewChild(sh(`trap "echo stopped; exit 3" TERM; test -S /dev/stdin && echo "pid $$ $SLUICE_SPAWN"; while :; do sleep 0.01; done`, reexec), s, func() {})
			c.Launch()
			await(t, "running", c.Launched())
			for len(c.Lines()) == 0 {
				time.Sleep(time.Millisecond)
			}
			if used, known := c.Memory(); !known || used == 0 || c.OOMKills() != 0 {
				t.Errorf("memory %d, %v", used, known)
			}
			if _, err := os.Stat(l.dir.recordPath("app-3")); err != nil {
				t.Error(err)
			}
			if _, reaped := c.Reaped(); reaped {
				t.Error("reaped, and it runs")
			}
			pid := c.PID()
			c.Stop(0)
			await(t, "exited", c.Exited())
			await(t, "reaped", c.reaped)
			exit, _ := c.Reaped()
			if len(exit.Lines) < 2 || !strings.HasPrefix(exit.Lines[0], "pid ") || !strings.HasSuffix(exit.Lines[0], l.dir.token) || !slices.Contains(exit.Lines, "stopped") ||
				exit.PID != pid || exit.Status != 3 || exit.Signal != "" || exit.Err != "" || proctest.IsAlive(pid) {
				t.Errorf("exit %+v", exit)
			}
			l.CloseSocket(s)
			l.Close(false)
			if _, err := os.Stat(l.dir.path); !os.IsNotExist(err) {
				t.Errorf("the directory is left: %v", err)
			}
		})
	}
}

// A command that cannot be executed, or was killed before its launch, never runs.
func TestChildDoesNotStart(t *testing.T) {
	l := newTestLauncher(t)
	defer l.Close(false)
	s, err := l.NewSocket(SocketConfig{Mode: Stdin, Addr: "127.0.0.1:0"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.CloseSocket(s)
	absent := &Command{Path: "/absent/program", Args: []string{"program"}}
	restricted := sh("exit 0", true)
	restricted.Umask, restricted.Nice, restricted.Limits, restricted.Dir = new(0o27), 5, Limits{OpenFiles: 64, Core: new(uint64(0)), AddressSpace: 1 << 30}, "/absent"
	for want, tc := range map[string]struct {
		command *Command
		kill    bool
	}{
		"no such file or directory":             {absent, false},
		"it was to end before it was started":   {sh("exit 0", true), true},
		"in working directory /absent: no such": {restricted, false},
	} {
		c := l.NewChild(tc.command, s, func() {})
		if tc.kill {
			c.Kill()
		}
		c.Launch()
		await(t, "reaped", c.reaped)
		if exit, _ := c.Reaped(); exit.Status != -1 || !strings.Contains(exit.Err, want) {
			t.Errorf("exit %+v, want %s", exit, want)
		}
		select {
		case <-c.Launched():
			t.Errorf("%s: it runs", want)
		default:
		}
	}
}

// AwaitAccept returns when its connection was accepted, or its context has ended.
func TestAwaitAccept(t *testing.T) {
	l := newTestLauncher(t)
	defer l.Close(false)
	s, err := l.NewSocket(SocketConfig{Mode: Stdin}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.CloseSocket(s)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.AwaitAccept(ctx); err == nil {
		t.Error("accepted by no process")
	}
	accepted := make(chan error, 1)
	go func() { accepted <- s.AwaitAccept(t.Context()) }()
	for range 2 { // the connection of before is there, too
		fd, _, err := syscall.Accept(int(s.file.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(fd)
	}
	if err := <-accepted; err != nil {
		t.Error(err)
	}
}

// What a killed process of this program has left is killed and removed; what lives, or is
// another's, stays.
func TestSweep(t *testing.T) {
	l := newTestLauncher(t)
	s, err := l.NewSocket(SocketConfig{Mode: Stdin}, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := l.NewChild(sh("sleep 60 & echo started; wait", true), s, func() {})
	c.Launch()
	await(t, "running", c.Launched())
	for len(c.Lines()) == 0 {
		time.Sleep(time.Millisecond)
	}
	in := filepath.Dir(l.dir.path)
	if err := os.Mkdir(filepath.Join(in, runDirPrefix+"other"), 0o700); err != nil { // without a lock
		t.Fatal(err)
	}
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	if sweep(in, logger); !proctest.IsAlive(c.PID()) || log.Len() > 0 {
		t.Errorf("the owner lives: %s", &log)
	}
	pid := c.PID()
	c.mu.Lock()
	c.noSignals = true // a killed process ends nothing of the group
	c.mu.Unlock()
	l.dir.abandon()
	sweep(in, logger)
	await(t, "reaped", c.reaped)
	if proctest.IsAlive(pid) || !strings.Contains(log.String(), "processes=2") {
		t.Errorf("alive %v: %s", proctest.IsAlive(pid), &log)
	}
	if left, err := os.ReadDir(in); err != nil || len(left) != 1 {
		t.Errorf("left are %v, %v", left, err)
	}
	s.Release()
	l.Close(true)
}

// A command that removes its socket when it ends, as gunicorn does, has not taken it away:
// connections wait for the next one, and the file is removed with the socket.
func TestSocketRemovedByChild(t *testing.T) {
	var log bytes.Buffer
	runtime.LockOSThread() // the child's death signal
	l, err := NewLauncher(t.TempDir(), "sh", memlimit.Limits{}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(false)
	s, err := l.NewSocket(SocketConfig{Mode: Stdin}, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := l.NewChild(sh("rm "+s.path, false), s, func() {})
	c.Launch()
	await(t, "reaped", c.reaped)
	conn, err := net.Dial("unix", s.path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if n, known := s.Queued(); !known || n != 1 {
		t.Errorf("%d connections wait, known %t", n, known)
	}
	if err := os.Remove(s.path); err != nil {
		t.Fatal(err)
	}
	l.CloseSocket(s)
	if left, err := filepath.Glob(s.path + "*"); len(left) > 0 || err != nil || log.Len() > 0 {
		t.Errorf("left are %v, %v; %s", left, err, &log)
	}
}

// removing is the memory of a child of which processes have left the group: when they are killed, they
// have removed the socket.
type removing struct {
	memlimit.Controller
	memlimit.NoMeter
	path string
}

func (m *removing) Open(string) (memlimit.Meter, error) { return m, nil }
func (m *removing) Used() (uint64, error)               { return 0, nil }
func (m *removing) Close() error                        { return nil }
func (m *removing) Kill() error                         { return os.Remove(m.path) }

// Nor has what is left of a command when it has ended.
func TestSocketRemovedAfterExit(t *testing.T) {
	l := newTestLauncher(t)
	defer l.Close(false)
	s := newTestSocket(t, l, SocketConfig{Mode: Stdin})
	defer l.CloseSocket(s)
	l.memory = &removing{path: s.path}
	if lines := outputOf(t, l, s, sh("exit 0", false)); len(lines) > 0 {
		t.Errorf("the child said %q", lines)
	}
	conn, err := net.Dial("unix", s.path)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}
