package proc

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// outputOf runs a script with a socket to its end, and returns the lines that it has written.
func outputOf(t *testing.T, l *Launcher, s *Socket, command *Command) []string {
	t.Helper()
	c := l.NewChild(command, s, func() {})
	c.Launch()
	await(t, "reaped", c.reaped)
	exit, _ := c.Reaped()
	if exit.Status != 0 || exit.Err != "" {
		t.Fatalf("exit %+v", exit)
	}
	return exit.Lines
}

func newTestSocket(t *testing.T, l *Launcher, cfg SocketConfig) *Socket {
	t.Helper()
	s, err := l.NewSocket(cfg, 0)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The child of a socket with mode Activation has it as descriptor 3, and LISTEN_PID is its own id.
func TestActivation(t *testing.T) {
	for name, reexec := range map[string]bool{"exec": false, "reexec": true} {
		t.Run(name, func(t *testing.T) {
			l := newTestLauncher(t)
			defer l.Close(false)
			s := newTestSocket(t, l, SocketConfig{Mode: Activation})
			defer l.CloseSocket(s)
			command := sh(`test $LISTEN_PID = $$ && echo "fds $LISTEN_FDS, $1"; ls -l /proc/$$/fd`, reexec)
			command.Args = append(command.Args, "sh", "a b")
			command.Env = append(command.Env, "LISTEN_PID=1", "LISTEN_FDS=7")
			lines := outputOf(t, l, s, command)
			text := strings.Join(lines, "\n")
			if !slices.Contains(lines, "fds 1, a b") || !strings.Contains(text, " 0 -> /dev/null") || !strings.Contains(text, " 3 -> socket:") || strings.Contains(text, " 4 -> ") {
				t.Errorf("the child said\n%s", text)
			}
		})
	}
}

// A socket that a child inherits makes accept wait, whatever the child before has set.
func TestInheritedSocketBlocks(t *testing.T) {
	l := newTestLauncher(t)
	defer l.Close(false)
	s := newTestSocket(t, l, SocketConfig{Mode: Stdin})
	defer l.CloseSocket(s)
	fd := int(s.file.Fd())
	if err := syscall.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	lines := outputOf(t, l, s, sh(`sed -n s/flags:.//p /proc/self/fdinfo/0`, true))
	if len(lines) != 1 || lines[0] != "02" { // O_RDWR
		t.Errorf("the flags of the socket are %q", lines)
	}
}

// A child that is to listen at a port is told the port, and nobody else gets it meanwhile.
func TestPort(t *testing.T) {
	l := newTestLauncher(t)
	defer l.Close(false)
	s := newTestSocket(t, l, SocketConfig{Mode: Port})
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil || s.Addr != "127.0.0.1:"+port || port == "0" {
		t.Fatalf("the address is %s, %v", s.Addr, err)
	}
	command := sh(`echo "$PORT $BIND $1 $2"; ls /proc/$$/fd`, true)
	command.Args = append(command.Args, "sh", "--at={address}", "{port}{socket}")
	command.Env = append(command.Env, "BIND=0.0.0.0:{port}")
	if lines := outputOf(t, l, s, command); lines[0] != port+" 0.0.0.0:"+port+" --at="+s.Addr+" "+port+"{socket}" || len(lines) != 4 {
		t.Errorf("the child said %q", lines)
	}
	for given, want := range map[string]string{"PORT=x{port}": "x" + port, "PORT=80": port} { // 80 is of Sluice's own environment
		given := &Command{Path: command.Path, Args: command.Args, Env: append(slices.Clone(command.Env), given), Reexec: true}
		if lines := outputOf(t, l, s, given); !strings.HasPrefix(lines[0], want+" ") {
			t.Errorf("the child said %q, want %s", lines, want)
		}
	}

	if _, err := net.Dial("tcp", s.Addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("nobody listens: %v", err)
	}
	other := &net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 0) })
	}}
	for _, at := range []string{s.Addr, "127.0.0.2:" + port, ":" + port} { // many programs listen at all addresses
		if _, err := other.Listen(t.Context(), "tcp", at); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("the port is not held at %s: %v", at, err)
		}
	}
	for _, at := range []string{s.Addr, ":" + port} { // with SO_REUSEADDR
		child, err := net.Listen("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		if n, known := s.Queued(); !known || n != 0 {
			t.Errorf("%d wait, %v", n, known)
		}
		_ = child.Close()
	}
	l.CloseSocket(s)
	if f, err := other.Listen(t.Context(), "tcp", s.Addr); err != nil {
		t.Errorf("the port is not free: %v", err)
	} else {
		_ = f.Close()
	}
}

// A port at which another program listens is no port for a child.
func TestPortInUse(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := newSocket(SocketConfig{Mode: Port, Addr: other.Addr().String()}, "", ""); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("%v, want EADDRINUSE", err)
	}
	for _, addr := range []string{"[::1]:0", ":0"} {
		s, err := newSocket(SocketConfig{Mode: Port, Addr: addr}, "", "")
		if err != nil {
			t.Error(err)
			continue
		}
		if c, err := net.Listen("tcp", s.Addr); err != nil || strings.HasSuffix(s.Addr, ":0") {
			t.Errorf("%s: %v", s.Addr, err)
		} else {
			_ = c.Close()
		}
		s.Release()
	}
}

// A child that is to make a unix socket is told its path, and may make it there again and again.
func TestPath(t *testing.T) {
	l := newTestLauncher(t)
	s := newTestSocket(t, l, SocketConfig{Mode: Path})
	command := sh(`echo "$1 $2 $PORT"; ls -nd "${2%/*}"; : >"$2"`, true)
	command.Args = append(command.Args, "sh", "{address}", "{socket}")
	want := "drwx------ 2 " // which the child's user owns
	if os.Geteuid() == 0 {
		command.Account = &Account{UID: 65534, GID: 65534}
		want += "65534 65534 "
		if err := os.Chmod(filepath.Dir(filepath.Dir(l.dir.path)), 0o755); err != nil { // of the test
			t.Fatal(err)
		}
	}
	for range 2 {
		lines := outputOf(t, l, s, command)
		if _, path, _ := strings.Cut(s.Addr, ":"); lines[0] != s.Addr+" "+path+" " || !strings.HasPrefix(lines[1], want) {
			t.Errorf("the child said %q", lines)
		}
	}
	if !isPrivate(l.dir.path) {
		t.Error("the next start would leave the directory")
	}
	if command.Account != nil { // which may not pass through a directory above
		if err := os.Chmod(filepath.Dir(filepath.Dir(l.dir.path)), 0o700); err != nil {
			t.Fatal(err)
		}
		c := l.NewChild(command, s, func() {})
		c.Launch()
		await(t, "reaped", c.reaped)
		if exit, _ := c.Reaped(); !strings.Contains(exit.Err, "user 65534 may not make it there: permission denied (set TMPDIR") {
			t.Errorf("exit %+v", exit)
		}
	}
	l.CloseSocket(s)
	if _, err := os.Stat(filepath.Dir(s.path)); !os.IsNotExist(err) {
		t.Errorf("the directory is left: %v", err)
	}
	l.Close(false)
	if _, err := reservePath("/"+strings.Repeat("x", 100), "app-0"); err == nil || !strings.Contains(err.Error(), "at most 103") {
		t.Errorf("a path that is too long: %v", err)
	}
}
