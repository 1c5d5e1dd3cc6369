//go:build linux

package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// mute is a gate whose standard output and standard error somebody else holds, on unix
// sockets.
type mute struct {
	cmd    *exec.Cmd
	ended  chan error
	listen string // the socket of front
	front  site
	side   site
	stderr *tail // what came there, if nobody holds it
}

// overUnix is a client of a unix socket.
func overUnix(t testing.TB, path string) site {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return site{url: "http://unix", client: &http.Client{Transport: transport, Timeout: patience}}
}

// startMute runs sluice serve with those files as standard output and standard error; nil
// is one that is read.
func startMute(t testing.TB, be backend, stdout, stderr *os.File, args ...string) *mute {
	t.Helper()
	dir := socketDir(t)
	front, side := filepath.Join(dir, "front"), filepath.Join(dir, "side")
	m := &mute{ended: make(chan error, 1), listen: front, stderr: new(tail), front: overUnix(t, front), side: overUnix(t, side)}
	args = append(append([]string{"serve", "--listen", "unix:" + front, "--status", "unix:" + side, "--spool-dir", t.TempDir()}, be.args()...), args...)
	m.cmd = exec.Command(sluiceBinary(), args...)
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if stdout != nil {
		m.cmd.Stdout = stdout
	}
	m.cmd.Stderr = m.stderr
	if stderr != nil {
		m.cmd.Stderr = stderr
	}
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		m.ended <- m.cmd.Wait()
		close(m.ended)
	}()
	t.Cleanup(func() {
		_ = m.cmd.Process.Kill() // it has ended
		<-m.ended                // and uses its directory no more
		if t.Failed() {
			t.Logf("standard error:\n%s", m.stderr)
		}
	})
	eventually(t, "sluice listens", func() error {
		c, err := net.Dial("unix", front)
		if err != nil {
			return err
		}
		return c.Close()
	})
	return m
}

// wantDrained asks for the end, and fails unless it comes in time.
func (m *mute) wantDrained(t testing.TB) {
	t.Helper()
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if err := within(t, "sluice ends", m.ended); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if d := time.Since(begun); d > 10*time.Second {
		t.Errorf("it took %v to end", d)
	}
}

// dropped is how many lines were dropped of the requests before.
func (m *mute) dropped(t testing.TB) (access, errorLog uint64) {
	t.Helper()
	var s state
	eventually(t, "each request has had its line", func() error { // which may come after the answer
		if s = readState(t, m.side); s.InFlight > 0 {
			return fmt.Errorf("%d are in flight", s.InFlight)
		}
		return nil
	})
	return s.Front.DroppedLines.Access, s.Front.DroppedLines.Error
}

// wantOnce waits for a line in the log, and fails if it is there more than once.
func (m *mute) wantOnce(t testing.TB, text string) {
	t.Helper()
	eventually(t, "the log says: "+text, func() error {
		if !strings.Contains(m.stderr.String(), text) {
			return errNotYet
		}
		return nil
	})
	if n := strings.Count(m.stderr.String(), text); n != 1 {
		t.Errorf("the log says %d times: %s\n%s", n, text, m.stderr)
	}
}

// pipe returns both ends, which are closed with the test.
func pipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// ask makes requests with lines of some length, so that the buffers of the log fill. 700
// make a MiB.
func ask(t testing.TB, s site, n int) {
	t.Helper()
	long := strings.Repeat("x", 1500)
	begun := time.Now()
	for range n {
		if got := s.get(t, "/hello?"+long); got != "hello\n" {
			t.Fatalf("got %q", got)
		}
	}
	if d := time.Since(begun); d > 10*time.Second {
		t.Errorf("%d requests took %v", n, d)
	}
}

// Whoever reads standard output stops. Requests do not notice; the lines that there is no
// room for are counted, and the log says when that begins and ends. In the end nothing
// waits for it.
func TestStandardOutputStalls(t *testing.T) {
	r, w := pipe(t)
	m := startMute(t, startLibfcgi(t, 4), w, nil)
	w.Close()
	ask(t, m.front, 2000)
	access, errorLog := m.dropped(t)
	if access == 0 || errorLog != 0 {
		t.Errorf("%d and %d lines dropped", access, errorLog)
	}
	m.wantOnce(t, "lines of the access log are dropped")
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := range 2000 - int(access) {
		if !lines.Scan() || !json.Valid(lines.Bytes()) {
			t.Fatalf("line %d is %q, %v", n, head(lines.Text()), lines.Err())
		}
	}
	eventually(t, "the log says how many lines were dropped", func() error {
		if !strings.Contains(m.stderr.String(), fmt.Sprint("access_log=- lines=", access)) {
			return errNotYet
		}
		return nil
	})
	ask(t, m.front, 1000) // which are in the buffers when the end comes
	m.wantDrained(t)
	if !strings.Contains(m.stderr.String(), "the end of the access log could not be written") {
		t.Errorf("the log does not say what was lost in the end:\n%s", m.stderr)
	}
}

// Whoever read standard output, or standard error, has gone.
func TestStandardOutputGone(t *testing.T) {
	for name, start := range map[string]func(be backend, w *os.File) *mute{
		"output": func(be backend, w *os.File) *mute { return startMute(t, be, w, nil) },
		"error":  func(be backend, w *os.File) *mute { return startMute(t, be, nil, w) },
		"both":   func(be backend, w *os.File) *mute { return startMute(t, be, w, w) },
	} {
		t.Run(name, func(t *testing.T) {
			r, w := pipe(t)
			m := start(startLibfcgi(t, 4), w)
			w.Close()
			r.Close()
			m.front.get(t, "/stderr?n=1000")
			ask(t, m.front, 20)
			m.wantDrained(t)
		})
	}
}

// Whoever reads standard error stops, and the application writes much there.
func TestStandardErrorStalls(t *testing.T) {
	_, w := pipe(t)
	m := startMute(t, startLibfcgi(t, 4), nil, w)
	w.Close()
	for range 40 { // 500 lines at first, and 50 a second
		m.front.get(t, "/stderr?n=500000")
	}
	ask(t, m.front, 100)
	m.wantDrained(t)
}

// The file system of the access log is full in the middle of a line. When there is room
// again the line is completed.
func TestAccessLogOnFullFileSystem(t *testing.T) {
	dir := mountTmpfs(t, "256k")
	log := filepath.Join(dir, "access.log")
	m := startMute(t, startLibfcgi(t, 4), nil, nil, "--access-log", log)
	write(t, filepath.Join(dir, "filler"), "%s", strings.Repeat("x", 100_000))
	ask(t, m.front, 1500)
	access, _ := m.dropped(t)
	if access == 0 {
		t.Error("no lines were dropped")
	}
	m.wantOnce(t, "no space left on device")
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=16m"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the log says how many lines were dropped", func() error {
		if !strings.Contains(m.stderr.String(), fmt.Sprint("lines=", access)) {
			return errNotYet
		}
		return nil
	})
	ask(t, m.front, 5)
	m.wantDrained(t)
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		if !strings.HasSuffix(line, "\n") || !json.Valid([]byte(line)) {
			t.Fatalf("line %d is %q", n, head(line))
		}
	}
	if want := 1505 - int(access); n != want {
		t.Errorf("the file has %d lines, want %d", n, want)
	}
}

// A named pipe that nobody reads yet, then somebody, then somebody else.
func TestAccessLogToNamedPipe(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "access")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	m := startMute(t, startLibfcgi(t, 4), nil, nil, "--access-log", fifo)
	ask(t, m.front, 1)
	for range 2 {
		r, err := os.Open(fifo)
		if err != nil {
			t.Fatal(err)
		}
		m.front.get(t, "/hello")
		if line, err := bufio.NewReader(r).ReadString('\n'); err != nil || !json.Valid([]byte(line)) {
			t.Errorf("read %q, %v", line, err)
		}
		r.Close()
	}
	ask(t, m.front, 2000)
	if access, _ := m.dropped(t); access == 0 {
		t.Error("no lines were dropped")
	}
	m.wantDrained(t)
}

// A reader of standard error that stalls does not keep a start from failing, either.
func TestFailsAtStartWithStalledStandardError(t *testing.T) {
	_, w := pipe(t)
	if err := w.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 16<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("filling the pipe: %v", err)
	}
	cmd := exec.Command(sluiceBinary(), "serve", "--no-such-flag")
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	err := within(t, "it ends", ended)
	if status, ok := errors.AsType[*exec.ExitError](err); !ok || status.ExitCode() != 2 {
		t.Errorf("it ended with %v, want status 2", err)
	}
}
