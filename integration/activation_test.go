//go:build linux

package integration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// notices takes what a service tells systemd.
type notices struct {
	*net.UnixConn
	path string
}

func newNotices(t testing.TB) notices {
	t.Helper()
	path := filepath.Join(socketDir(t), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return notices{l, path}
}

// next returns the next notice.
func (n notices) next(t testing.TB) string {
	t.Helper()
	text := make([]byte, 4096)
	_ = n.SetReadDeadline(time.Now().Add(patience))
	size, err := n.Read(text)
	if err != nil {
		t.Fatalf("systemd is told nothing: %v", err)
	}
	return string(text[:size])
}

// await returns the next notice, which must have that line.
func (n notices) await(t testing.TB, line string) string {
	t.Helper()
	text := n.next(t)
	if !strings.Contains("\n"+text+"\n", "\n"+line+"\n") {
		t.Fatalf("systemd is told %q; want %s", text, line)
	}
	return text
}

// activated is a sluice serve that gets listening sockets as systemd hands them over.
type activated struct {
	sockets []*os.File
	names   string
	notices notices
	args    []string
}

// start starts it, and waits until it is ready.
func (a *activated) start(t testing.TB) *process {
	t.Helper()
	// LISTEN_PID is the process's own, which only it knows before it becomes sluice.
	cmd := exec.Command("sh", append([]string{"-c", `export LISTEN_PID=$$; exec "$@"`, "sh", sluiceBinary(), "serve", "--status", "off", "--access-log", "off"}, a.args...)...)
	cmd.Env = append(os.Environ(), fmt.Sprint("LISTEN_FDS=", len(a.sockets)), "LISTEN_FDNAMES="+a.names, "NOTIFY_SOCKET="+a.notices.path, "TMPDIR="+socketDir(t))
	cmd.ExtraFiles = a.sockets
	p := start(t, cmd)
	a.notices.await(t, "READY=1")
	return p
}

// systemdSockets are a TCP socket and a unix one, as systemd keeps them open, and their addresses.
func systemdSockets(t testing.TB) (sockets []*os.File, tcp, unix string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	tcpFile, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tcpFile.Close() })
	unixFile, unixAddr := listenUnix(t)
	return []*os.File{tcpFile, unixFile}, l.Addr().String(), strings.TrimPrefix(unixAddr, "unix:")
}

// restarts starts it anew a few times while clients ask for a page. None of them is refused; late is how many were
// told to come again.
func (a *activated) restarts(t *testing.T, times int, clients []site) (late int64) {
	t.Helper()
	gate := a.start(t)
	stop := make(chan struct{})
	var answered, told atomic.Int64
	var running sync.WaitGroup
	for i, s := range clients {
		running.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				resp, err := s.client.Get(s.url + "/hello")
				if errors.Is(err, syscall.EAGAIN) {
					time.Sleep(time.Millisecond) // a unix socket whose backlog is full has no queue for clients that do not wait
					continue
				}
				if err != nil {
					t.Errorf("client %d got %v", i, err)
					return
				}
				resp.Body.Close()
				switch {
				case resp.StatusCode == http.StatusOK:
					answered.Add(1)
				case resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "":
					told.Add(1) // this machine has taken 250 ms to read a request
				default:
					t.Errorf("client %d got %s", i, resp.Status)
				}
			}
		})
	}
	for range times {
		before := answered.Load()
		eventually(t, "requests are answered", func() error {
			if answered.Load() < before+50 {
				return errNotYet
			}
			return nil
		})
		if err := syscall.Kill(gate.Process.Pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		a.notices.await(t, "STOPPING=1")
		if err := gate.wait(t); err != nil {
			t.Fatalf("sluice ended with %v:\n%s", err, gate.output)
		}
		gate = a.start(t)
	}
	close(stop)
	running.Wait()
	t.Logf("%d requests answered in %d restarts, %d told to come again", answered.Load(), times, told.Load())
	return told.Load()
}

// While Sluice is started anew, connections wait in the socket that systemd keeps open: none is
// refused or reset, with TCP and unix sockets, in event loops and with net/http.
func TestRestartRefusesNoConnection(t *testing.T) {
	for _, front := range []string{"loop", "net"} {
		t.Run(front, func(t *testing.T) {
			t.Parallel()
			sockets, tcp, unix := systemdSockets(t)
			a := activated{
				sockets: sockets, names: "web:local", notices: newNotices(t),
				args: append(startLibfcgi(t, 8).args(), "--listen", "systemd:web", "--listen", "systemd", "--front", front, "--queue-timeout", patience.String()),
			}
			var clients []site
			for i := range 6 {
				s := newSite(t, "http://gate")
				transport := s.client.Transport.(*http.Transport)
				transport.DisableKeepAlives = true // each request is a new connection
				transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
					if i%2 == 0 {
						return new(net.Dialer).DialContext(ctx, "tcp", tcp)
					}
					return new(net.Dialer).DialContext(ctx, "unix", unix)
				}
				clients = append(clients, s)
			}
			if late := a.restarts(t, 3, clients); late > 6 {
				t.Errorf("%d requests of 6 clients were told to come again in three restarts", late)
			}
		})
	}
}

// What the service tells systemd of a reload, whether it succeeds or not. The socket of systemd stays
// open, and applications do not inherit it.
func TestNoticesOfReload(t *testing.T) {
	unixFile, addr := listenUnix(t)
	config := filepath.Join(t.TempDir(), "sluice.toml")
	const server = "[server]\nlisten = [\"systemd:web\"]\nstatus = \"off\"\naccess_log = \"off\"\n"
	write(t, config, "%s[[application]]\nname = \"a\"\nspawn.command = [\"sh\", \"-c\", \"[ -e /proc/self/fd/3 ] && echo INHERITED >&2; env >&2; exec sleep 1000\"]\n[[site]]\n", server)
	n := newNotices(t)
	cmd := exec.Command("sh", "-c", `export LISTEN_PID=$$; exec "$@"`, "sh", sluiceBinary(), "serve", "--config", config)
	cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES=web", "NOTIFY_SOCKET="+n.path, "TMPDIR="+socketDir(t))
	cmd.ExtraFiles = []*os.File{unixFile}
	gate := sluice{process: start(t, cmd)}
	ready := n.await(t, "READY=1")
	if path := strings.TrimPrefix(addr, "unix:"); !strings.Contains(ready, "STATUS=Serving at "+path) {
		t.Errorf("systemd is told %q", ready)
	}
	gate.logs(t, "PATH=")
	for _, inherited := range []string{"INHERITED", "LISTEN_FDS", "NOTIFY_SOCKET"} {
		if strings.Contains(gate.output.String(), inherited) {
			t.Errorf("the application has %s:\n%s", inherited, gate.output)
		}
	}

	gate.signal(t, syscall.SIGHUP)
	if notice := n.await(t, "RELOADING=1"); !strings.Contains(notice, "\nMONOTONIC_USEC=") {
		t.Errorf("systemd is told %q", notice)
	}
	n.await(t, "READY=1")
	write(t, config, "%snonsense = 1\n", server)
	gate.signal(t, syscall.SIGHUP)
	n.await(t, "RELOADING=1")
	if notice := n.await(t, "READY=1"); !strings.Contains(notice, "nonsense") {
		t.Errorf("systemd is told %q", notice)
	}
	gate.signal(t, syscall.SIGTERM)
	if notice := n.await(t, "STOPPING=1"); !strings.Contains(notice, "\nEXTEND_TIMEOUT_USEC=60000000") {
		t.Errorf("systemd is told %q", notice)
	}
	if err := gate.wait(t); err != nil {
		t.Errorf("sluice ended with %v", err)
	}
	if _, err := os.Stat(strings.TrimPrefix(addr, "unix:")); err != nil {
		t.Errorf("the socket of systemd is gone: %v", err)
	}
}
