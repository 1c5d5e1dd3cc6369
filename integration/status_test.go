//go:build linux

package integration

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// startSlowPHP runs sluice in front of PHP, with requests for a slow page in flight.
func startSlowPHP(t *testing.T, args ...string) laneGate {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{"slow.php": "<?php sleep(60);", "index.php": "<?php echo 'hello';"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	app := exec.Command(need(t, "php-cgi"))
	s := watched(t, startSluiceCommand(t, app, append([]string{"--preset", "php", "--root", root, "--workers", "4"}, args...)...))
	newSite(t, s.url).get(t, "/index.php")
	return s
}

// runStatus runs sluice status and returns its output and its exit status.
func runStatus(t *testing.T, args ...string) (out string, exit int) {
	t.Helper()
	cmd := exec.Command(sluiceBinary(), append([]string{"status"}, args...)...)
	text, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

// Scripts are told the state by text, JSON and exit status.
func TestStatusForScripts(t *testing.T) {
	s := startSlowPHP(t)
	addr := strings.TrimPrefix(s.status, "http://")
	var out string
	var exit int
	eventually(t, "PHP has ended the request", func() error { // whose answer may be whole before
		if out, exit = runStatus(t, addr); !strings.Contains(out, "busy 0/4") {
			return errors.New(out)
		}
		return nil
	})
	for _, want := range []string{"healthy", "All is well.", "workers ", "GET any /index.php", " up "} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if exit != 0 || strings.Contains(out, "\x1b") {
		t.Errorf("exit status %d, %q", exit, out)
	}
	out, exit = runStatus(t, "--json", addr)
	var told struct{ Requests []any }
	if err := json.Unmarshal([]byte(out), &told); err != nil || exit != 0 || told.Requests == nil {
		t.Errorf("%v, exit status %d: %s", err, exit, out)
	}
	if out, exit = runStatus(t, "--wait", "ready", addr); exit != 0 || out != "" {
		t.Errorf("exit status %d: %s", exit, out)
	}
	if out, exit = runStatus(t, strings.TrimPrefix(s.url, "http://")); exit != 2 || !strings.Contains(out, "is this the --status address of sluice serve?") {
		t.Errorf("of the site, exit status %d: %s", exit, out)
	}
}

// An application that is not there is degraded and not ready; a gate that is not there is
// unreachable.
func TestStatusOfTrouble(t *testing.T) {
	dead := "unix:" + filepath.Join(socketDir(t), "app.sock")
	s := watched(t, startSluice(t, "--backend", dead, "--dial-timeout", "100ms"))
	addr := strings.TrimPrefix(s.status, "http://")
	if out, exit := runStatus(t, addr); exit != 0 {
		t.Errorf("not asked yet: exit status %d: %s", exit, out)
	}
	newSite(t, s.url).do(t, newSite(t, s.url).request(t, http.MethodGet, "/", nil))
	if out, exit := runStatus(t, "--once", addr); exit != 1 || !strings.Contains(out, "degraded") || !strings.Contains(out, "The application cannot be connected to at "+dead+" (") {
		t.Errorf("exit status %d: %s", exit, out)
	}
	if out, exit := runStatus(t, "--wait", "ready", "--timeout", "2s", addr); exit != 1 || !strings.Contains(out, "not ready after 2s: "+dead+" is down") {
		t.Errorf("exit status %d: %s", exit, out)
	}
	s.signal(t, syscall.SIGTERM)
	if err := s.wait(t); err != nil {
		t.Error(err)
	}
	if out, exit := runStatus(t, addr); exit != 2 || !strings.Contains(out, "connection refused (does \"sluice serve\" run, with --status "+addr+"?)") {
		t.Errorf("exit status %d: %s", exit, out)
	}
	if out, exit := runStatus(t, "--wait", "ready", "--timeout", "1s", addr); exit != 2 || !strings.Contains(out, "connection refused") {
		t.Errorf("exit status %d: %s", exit, out)
	}
}

// A deployment waits for a gate that does not listen yet.
func TestStatusWaits(t *testing.T) {
	addr := freeAddress(t)
	wait := start(t, exec.Command(sluiceBinary(), "status", "--wait", "ready", addr))
	_, app := startSaying(t, nil)
	startSluice(t, "--backend", app, "--status", addr)
	if err := wait.wait(t); err != nil {
		t.Errorf("%v: %s", err, wait.output)
	}
}

// screen is a program on a pseudo-terminal.
type screen struct {
	*exec.Cmd
	terminal *os.File
	output   *tail
	before   unix.Termios
	ended    chan error
}

func openScreen(t *testing.T, width, height uint16, args ...string) *screen {
	t.Helper()
	ours, theirs, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{terminal: ours, output: &tail{}, ended: make(chan error, 1)}
	if err := pty.Setsize(ours, &pty.Winsize{Cols: width, Rows: height}); err != nil {
		t.Fatal(err)
	}
	s.before = termios(t, ours)
	s.Cmd = exec.Command(args[0], args[1:]...)
	s.Stdin, s.Stdout, s.Stderr = theirs, theirs, theirs
	s.Env = append(os.Environ(), "TERM=xterm-256color")
	s.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		buf := make([]byte, 4096)
		for {
			n, err := ours.Read(buf)
			if err != nil {
				return
			}
			_, _ = s.output.Write(buf[:n])
		}
	}()
	go func() { s.ended <- s.Wait() }()
	t.Cleanup(func() {
		_ = s.Process.Kill()
		theirs.Close() // with the last one on that side, reads end
		<-copied
		ours.Close()
	})
	return s
}

func termios(t *testing.T, f *os.File) unix.Termios {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *state
}

var sgr = regexp.MustCompile("\x1b\\[[0-9;]*m")

// lines are those of the last complete page.
func (s *screen) lines() []string {
	pages := strings.Split(s.output.String(), "\x1b[H")
	for i := len(pages) - 1; i > 0; i-- {
		if page, _, whole := strings.Cut(pages[i], "\x1b[K\x1b[J"); whole {
			return strings.Split(sgr.ReplaceAllString(page, ""), "\x1b[K\r\n")
		}
	}
	return nil
}

// shows waits until a line of the page contains text.
func (s *screen) shows(t *testing.T, text string) {
	t.Helper()
	eventually(t, "the page shows "+text, func() error {
		if page := strings.Join(s.lines(), "\n"); !strings.Contains(page, text) {
			return errors.New(page)
		}
		return nil
	})
}

func (s *screen) press(t *testing.T, keys string) {
	t.Helper()
	if _, err := s.terminal.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

// left waits for the end, and checks that the terminal is as it was.
func (s *screen) left(t *testing.T, exit int) {
	t.Helper()
	eventually(t, "sluice status ends", func() error {
		select {
		case <-s.ended:
			return nil
		default:
			return errNotYet
		}
	})
	if got := s.ProcessState.ExitCode(); got != exit {
		t.Errorf("exit status %d, want %d", got, exit)
	}
	if termios(t, s.terminal) != s.before {
		t.Error("the terminal's mode is not what it was")
	}
	eventually(t, "the screen is restored", func() error {
		text := s.output.String()
		on, off := strings.Count(text, "\x1b[?1049h\x1b[?25l\x1b[?7l"), strings.Count(text, "\x1b[?7h\x1b[?25h\x1b[?1049l")
		if on != off || on == 0 {
			return errors.New("the alternate screen is on")
		}
		return nil
	})
}

// The live page on a terminal of 80 x 24 and of another size, in front of PHP.
func TestStatusLive(t *testing.T) {
	gate := startSlowPHP(t)
	for range 2 {
		newSite(t, gate.url).inBackground(t, http.MethodGet, "/slow.php")
	}
	s := openScreen(t, 80, 24, sluiceBinary(), "status", strings.TrimPrefix(gate.status, "http://"))
	s.shows(t, "healthy")
	s.shows(t, "GET any /slow.php")
	s.shows(t, "busy 2/4")
	if lines := s.lines(); len(lines) != 24 || !strings.HasPrefix(lines[23], "q quit") {
		t.Errorf("%d lines: %q", len(lines), lines)
	}
	s.press(t, "s")
	s.shows(t, "lane▾")
	s.press(t, "r")
	s.shows(t, "lane▴")
	if err := pty.Setsize(s.terminal, &pty.Winsize{Cols: 120, Rows: 40}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the page has the new size", func() error {
		if n := len(s.lines()); n != 40 {
			return errNotYet
		}
		return nil
	})
	s.press(t, "p")
	s.shows(t, "paused")
	s.press(t, "q")
	s.left(t, 0)
}

// Every way out restores the terminal.
func TestStatusRestores(t *testing.T) {
	_, app := startSaying(t, nil)
	gate := watched(t, startSluice(t, "--backend", app))
	addr := strings.TrimPrefix(gate.status, "http://")
	for name, end := range map[string]func(*screen){
		"Ctrl-C":  func(s *screen) { s.press(t, "\x03") },
		"SIGTERM": func(s *screen) { _ = s.Process.Signal(syscall.SIGTERM) },
		"SIGHUP":  func(s *screen) { _ = s.Process.Signal(syscall.SIGHUP) },
		"SIGINT":  func(s *screen) { _ = s.Process.Signal(syscall.SIGINT) },
	} {
		s := openScreen(t, 80, 24, sluiceBinary(), "status", addr)
		s.shows(t, "healthy")
		end(s)
		s.left(t, 0)
		if t.Failed() {
			t.Fatal(name)
		}
	}
	s := openScreen(t, 80, 24, sluiceBinary(), "status", addr)
	s.shows(t, "healthy")
	gate.signal(t, syscall.SIGTERM)
	s.shows(t, "unreachable")
	s.press(t, "q")
	s.left(t, 2)
}

// Ctrl-Z gives the terminal back to the shell, and fg takes it again.
func TestStatusStops(t *testing.T) {
	_, app := startSaying(t, nil)
	gate := watched(t, startSluice(t, "--backend", app))
	s := openScreen(t, 80, 24, "sh", "-c", `set -m; "$0" status "$1"; stty -a; echo stopped; read line; fg`, sluiceBinary(), strings.TrimPrefix(gate.status, "http://"))
	s.shows(t, "healthy")
	s.press(t, "\x1a")
	eventually(t, "sluice status stops", func() error {
		_, after, left := strings.Cut(s.output.String(), "\x1b[?7h\x1b[?25h\x1b[?1049l")
		if !left || !strings.Contains(after, " icanon ") || !strings.Contains(after, "stopped\r\n") {
			return errors.New(after)
		}
		return nil
	})
	s.press(t, "\n")
	eventually(t, "sluice status goes on", func() error {
		if strings.Count(s.output.String(), "\x1b[?1049h") != 2 {
			return errNotYet
		}
		return nil
	})
	s.press(t, "q")
	s.left(t, 0)
}
