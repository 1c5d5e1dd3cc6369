//go:build linux

package integration

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// running is an application of one instance that nobody asks anything.
type running struct{ *supervise.Group }

func (r running) instance() supervise.InstanceSnapshot { return r.Snapshot().Instances[0] }

func (r running) pid() int { return r.instance().PID }

func (r running) addr() string { return r.instance().Addr }

// startProcess starts a shell script as an application.
func startProcess(t *testing.T, script string, cfg supervise.Config) running {
	t.Helper()
	cfg.Command = []string{"sh", "-c", script}
	cfg.Reexec = true
	if cfg.TempDir == "" {
		cfg.TempDir = socketDir(t)
	}
	if cfg.Logger == nil {
		cfg.Logger = textLog(&tail{})
	}
	p, err := supervise.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return running{p}
}

func textLog(to io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(to, nil)) }

// said returns the lines of a file that an application renames to path when it has
// written it.
func said(t *testing.T, path string) []string {
	t.Helper()
	var text []byte
	eventually(t, "the application writes "+path, func() (err error) {
		text, err = os.ReadFile(path)
		return err
	})
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// A child has what it was given, and nothing else.
func TestSpawn(t *testing.T) {
	t.Setenv("SLUICE_TEST_SECRET", "secret")
	t.Setenv("SLUICE_TEST_WANTED_1", "one")
	t.Setenv("LC_TIME", "C")
	// What whoever started us has left open for us.
	leaked, err := syscall.Open("/dev/null", syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(leaked)

	dir := t.TempDir()
	out := filepath.Join(dir, "said")
	umask, core := 0o027, uint64(0)
	p := startProcess(t, fmt.Sprintf(`exec 9>%[1]s.new
		{ echo "dir $PWD" "umask $(umask)" "nice $(nice)" "files $(ulimit -Sn)" "core $(ulimit -c)" "space $(ulimit -v)"
		  cut -d' ' -f5,6 /proc/$$/stat; tr '\0' '\n' </proc/$$/environ; } >&9
		exec 9>&-; ls -l /proc/$$/fd >%[1]s.fds; mv %[1]s.new %[1]s
		exec sleep 60`, out), supervise.Config{
		Dir: dir, Env: []string{"GIVEN=x y", "TZ=UTC"}, EnvCopy: []string{"SLUICE_TEST_WANTED_*"},
		Umask: &umask, Nice: 19, // which everybody may have
		Limits: supervise.Limits{OpenFiles: 2000, Core: &core, AddressSpace: 1 << 30},
	})
	lines := said(t, out)
	if want := fmt.Sprintf("dir %s umask 0027 nice 19 files 2000 core 0 space 1048576", dir); lines[0] != want {
		t.Errorf("the child said\n%s, want\n%s", lines[0], want)
	}
	if want := fmt.Sprintf("%d %[1]d", p.pid()); lines[1] != want {
		t.Errorf("group and session are %s, want %s", lines[1], want)
	}
	environ := map[string]string{}
	for _, kv := range lines[2:] {
		k, v, _ := strings.Cut(kv, "=")
		environ[k] = v
	}
	for k, v := range map[string]string{
		"GIVEN": "x y", "TZ": "UTC", "SLUICE_TEST_WANTED_1": "one", "LC_TIME": "C", "PATH": os.Getenv("PATH"),
	} {
		if environ[k] != v {
			t.Errorf("%s is %q, want %q", k, environ[k], v)
		}
	}
	for k := range environ {
		switch k {
		case "GIVEN", "TZ", "SLUICE_TEST_WANTED_1", "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TMPDIR", "SLUICE_SPAWN":
		default:
			if !strings.HasPrefix(k, "LC_") {
				t.Errorf("the child has inherited %s", k)
			}
		}
	}
	fds := strings.Join(said(t, out+".fds"), "\n")
	for _, want := range []string{" 0 -> socket:", " 1 -> ", " 2 -> pipe:"} {
		if !strings.Contains(fds, want) {
			t.Errorf("its descriptors lack%q:\n%s", want, fds)
		}
	}
	if strings.Contains(fds, "/dev/null") {
		t.Errorf("a descriptor has leaked into it:\n%s", fds)
	}
}

// Without being told, it may have many files open, and runs as we do.
func TestSpawnDefaults(t *testing.T) {
	out := filepath.Join(t.TempDir(), "said")
	startProcess(t, fmt.Sprintf(`echo "$(ulimit -Sn) $(nice) $(umask)" >%[1]s.new; mv %[1]s.new %[1]s; exec sleep 60`, out), supervise.Config{})
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		t.Fatal(err)
	}
	mask := syscall.Umask(0o022)
	syscall.Umask(mask)
	nice, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	got, rest := said(t, out)[0], fmt.Sprintf(" %d %04o", 20-nice, mask) // the system call's answer is 20-n
	// Whether root may raise the hard limit depends on its container.
	if got != "65536"+rest && (r.Max > 65536 || got != fmt.Sprint(r.Max)+rest) {
		t.Errorf("files, nice and umask are %s, want 65536%s (hard limit %d)", got, rest, r.Max)
	}
}

// Another user has what that user has, and no more.
func TestSpawnAsAnotherUser(t *testing.T) {
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		_, err := supervise.Start(t.Context(), supervise.Config{Command: []string{"true"}, User: "root", Reexec: true})
		if err == nil || !strings.Contains(err.Error(), "only root") {
			t.Errorf("Start as root: %v", err)
		}
		return
	}
	dir := socketDir(t)
	uid, _ := strconv.Atoi(nobody.Uid)
	if err := os.Chown(dir, uid, -1); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "said")
	startProcess(t, fmt.Sprintf(`echo "$(id -u):$(id -g):$(id -G) $HOME $USER $(ulimit -Sn)" >%[1]s.new; mv %[1]s.new %[1]s; exec sleep 60`, out), supervise.Config{
		User: "nobody", Limits: supervise.Limits{OpenFiles: 1000},
		TempDir: socketDir(t), Dir: "/",
	})
	want := fmt.Sprintf("%s:%s:%[2]s %s nobody 1000", nobody.Uid, nobody.Gid, nobody.HomeDir)
	if got := said(t, out)[0]; got != want {
		t.Errorf("the child is %q, want %q", got, want)
	}
}

// Nobody is left in a directory that is not to be entered.
func TestSpawnWhereTheUserMayNotBe(t *testing.T) {
	if os.Geteuid() != 0 {
		return // who has one account can go wherever it is
	}
	private, dir := t.TempDir(), socketDir(t)
	if err := errors.Join(os.Chmod(private, 0o700), os.Chmod(dir, 0o777)); err != nil {
		t.Fatal(err)
	}
	run := func(name string, cfg supervise.Config) string {
		out := filepath.Join(dir, name)
		cfg.TempDir = socketDir(t)
		startProcess(t, fmt.Sprintf(`echo "$(pwd) $(ls -d .)" >%[1]s.new; mv %[1]s.new %[1]s; exec sleep 60`, out), cfg)
		return said(t, out)[0]
	}
	t.Chdir(private)
	for name, tc := range map[string]struct {
		cfg  supervise.Config
		want string
	}{
		"another": {supervise.Config{User: "nobody"}, "/ ."},
		"own":     {supervise.Config{User: "nobody", Dir: dir}, dir + " ."},
		"root":    {supervise.Config{User: "root"}, private + " ."},
	} {
		if got := run(name, tc.cfg); got != tc.want {
			t.Errorf("%s: it is in %q, want %q", name, got, tc.want)
		}
	}
	_, err := supervise.Start(t.Context(), supervise.Config{Command: []string{"true"}, User: "nobody", Dir: private, TempDir: socketDir(t), Reexec: true})
	if err == nil || !strings.Contains(err.Error(), "may not enter it") {
		t.Errorf("a directory that was asked for: %v", err)
	}
}

// An application may listen on TCP, and its socket stays while it is replaced.
func TestSpawnOnTCP(t *testing.T) {
	p := startProcess(t, "exec sleep 60", supervise.Config{Listen: "127.0.0.1:0", Backlog: 3})
	first := p.pid()
	c, err := net.Dial("tcp", p.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is replaced", func() error {
		if pid := p.pid(); pid == 0 || pid == first {
			return fmt.Errorf("process %d", pid)
		}
		return nil
	})
	// A connection that nobody has accepted has nothing to say, and is not closed.
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := c.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("the connection in the backlog got %v", err)
	}
}

// A program that cannot be run is told apart from one that ends.
func TestSpawnFails(t *testing.T) {
	dir := socketDir(t)
	bad := filepath.Join(dir, "bad")
	if err := os.WriteFile(bad, []byte("#!/no/such/interpreter\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		cfg  supervise.Config
		want string
	}{
		"no interpreter": {supervise.Config{Command: []string{bad}}, "exec: no such file or directory"},
		"too many files": {supervise.Config{Command: []string{"true"}, Limits: supervise.Limits{OpenFiles: 1 << 40}}, "open files 1099511627776"},
		"relative":       {supervise.Config{Command: []string{"./bad"}, Dir: dir}, "exec: no such file or directory"},
		"absent":         {supervise.Config{Command: []string{"./absent"}, Dir: dir}, filepath.Join(dir, "absent")},
	} {
		t.Run(name, func(t *testing.T) {
			tc.cfg.Reexec, tc.cfg.TempDir = true, socketDir(t)
			_, err := supervise.Start(t.Context(), tc.cfg)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Start: %v, want %q", err, tc.want)
			}
			if left, err := os.ReadDir(tc.cfg.TempDir); err != nil || len(left) > 0 {
				t.Errorf("it left %v, %v", left, err)
			}
		})
	}
}

// A descendant that left the process group holds the output open; Close must not
// wait for it.
func TestDescendantInASessionOfItsOwn(t *testing.T) {
	p := startProcess(t, "setsid sleep 30 & exec sleep 60", supervise.Config{})
	group := p.pid()
	eventually(t, "its child has left the group", func() error {
		for _, kid := range children(t, group) {
			if of, ok := stat(kid); ok && of == kid {
				return nil
			}
		}
		return errNotYet
	})
	begun := time.Now()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(begun); d > 10*time.Second {
		t.Errorf("Close took %v", d)
	}
	if err := syscall.Kill(-group, 0); err != syscall.ESRCH {
		t.Errorf("the group %d is still there: %v", group, err)
	}
}
