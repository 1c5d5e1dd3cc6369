//go:build linux

package integration

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/fcgi"
	"github.com/sluice-proxy/sluice/bridge/probe"
)

// probed asks a backend for a page, on up to twelve connections.
func probed(t testing.TB, be backend, path, script string) (*probe.Report, error) {
	t.Helper()
	network, addr, err := config.ParseAddress(be.addr)
	if err != nil {
		t.Fatal(err)
	}
	return probe.Run(t.Context(), probe.Config{
		Address: be.addr, Network: network, Addr: addr, Path: path, Script: script, Max: 12,
	})
}

// shortly is a report on one line: status; the three values; keep-alive; what
// comes after an answer without it; multiplexing; the capacity, and what happens
// above it. A question mark is not known.
func shortly(r *probe.Report) string {
	capacity := "?"
	if c := r.Capacity; c.Known {
		capacity = fmt.Sprintf("%d %s", c.Value.Connections, c.Value.Full)
	}
	return strings.Join([]string{
		fmt.Sprint(r.Answer.Status),
		fact(r.Values[fcgi.MpxsConns]) + "/" + fact(r.Values[fcgi.MaxConns]) + "/" + fact(r.Values[fcgi.MaxReqs]),
		fact(r.KeepAlive), fact(r.Close), fact(r.Multiplex), capacity,
	}, ", ")
}

func fact[T any](f probe.Fact[T]) string {
	if !f.Known {
		return "?"
	}
	return fmt.Sprint(f.Value)
}

// What real applications do, as it was measured by hand before.
func TestProbe(t *testing.T) {
	for _, c := range []struct {
		name    string
		start   func(testing.TB) backend
		path    string // "" is /hello
		script  string // for SCRIPT_FILENAME
		want    string
		advice  probe.Advice
		backlog int    // 0: the system's largest
		command string // of its processes
	}{
		{
			name: "php-fpm static",
			start: func(t testing.TB) backend {
				return startFPM(t, fpmOptions{root: testdata(t, ""), workers: 3, backlog: 77})
			},
			script: testdata(t, "routes.php"), want: "200, 0//, kept, waits, ?, 3 waits",
			advice: probe.Advice{Workers: 3, KeepAlive: "auto", Multiplex: "auto", Preset: "php"}, backlog: 77, command: "php-fpm",
		},
		{
			name: "php-fpm dynamic, no script",
			start: func(t testing.TB) backend {
				return startFPM(t, fpmOptions{root: testdata(t, ""), workers: 5, pool: dynamicPool})
			},
			want:   "404, 0//, kept, waits, ?, 5 waits",
			advice: probe.Advice{Workers: 5, KeepAlive: "auto", Multiplex: "auto", Preset: "php"}, command: "php-fpm",
		},
		{
			name:   "php-cgi",
			start:  func(t testing.TB) backend { return startPHPCGI(t, testdata(t, ""), 3) },
			script: testdata(t, "routes.php"), want: "200, 0/3/3, kept, waits, ?, 3 waits",
			advice: probe.Advice{Workers: 3, KeepAlive: "auto", Multiplex: "auto", Preset: "php"}, command: "php-cgi",
		},
		{
			name:   "libfcgi",
			start:  func(t testing.TB) backend { return startLibfcgi(t, 4) },
			want:   "200, 0/1/1, kept, waits, ?, 4 waits",
			advice: probe.Advice{Workers: 4, KeepAlive: "auto", Multiplex: "auto"}, command: "routes",
		},
		{
			// A page that takes a thread so long that another gets the lock.
			name: "libfcgi with a lock around accept", path: "/download?n=1000000",
			start:  startLibfcgiAcceptLock,
			want:   "200, 0/1/1, stalled, waits, ?, ?",
			advice: probe.Advice{Workers: 4, KeepAlive: "auto", Multiplex: "auto"}, command: "routes",
		},
		{
			name: "a COMET daemon",
			start: func(t testing.TB) backend {
				p, addr := startOnSocket(t, comet(t, "next"))
				return backend{addr: addr, process: p}
			},
			want:   "200, 0/1/1, stalled, waits, ?, ?",
			advice: probe.Advice{Workers: probe.DefaultMax, KeepAlive: "auto", Multiplex: "auto"}, command: "comet",
		},
		{
			name:   "Perl",
			start:  func(t testing.TB) backend { return startPerl(t, 2) },
			want:   "200, 0/1/1, kept, waits, ?, 2 waits",
			advice: probe.Advice{Workers: 2, KeepAlive: "auto", Multiplex: "auto"}, command: "perl",
		},
		{
			name:   "fcgiwrap",
			start:  func(t testing.TB) backend { return startFcgiwrap(t, testdata(t, ""), 1) },
			script: testdata(t, "routes.pl"), want: "200, 0/1/1, kept, waits, ?, 1 waits",
			advice: probe.Advice{Workers: 1, KeepAlive: "auto", Multiplex: "auto", Preset: "cgi"}, command: "fcgiwrap",
		},
		{
			name:   "uWSGI",
			start:  func(t testing.TB) backend { return startUWSGI(t, 3) },
			want:   "200, ?/?/?, closed, closes, ?, ?",
			advice: probe.Advice{KeepAlive: "auto", Multiplex: "auto"}, backlog: 100, command: "uwsgi",
		},
		{
			name:   "Go",
			start:  func(t testing.TB) backend { return startGo(t, 4) },
			want:   "200, 1//, kept, closes, works, 12 not seen",
			advice: probe.Advice{Workers: 12, KeepAlive: "auto", Multiplex: "auto"}, command: "integration.tes",
		},
		{
			name: "a thread per connection, or none",
			start: func(t testing.TB) backend {
				be, _ := startThreaded(t, 6)
				return be
			},
			want:   "200, //, kept, closes, ?, 6 closes",
			advice: probe.Advice{Workers: 6, KeepAlive: "auto", Multiplex: "auto"}, command: "python3",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // they wait more than they work
			be := c.start(t)
			r, err := probed(t, be, cmp.Or(c.path, "/hello"), c.script)
			if err != nil {
				t.Fatal(err)
			}
			if got := shortly(r); got != c.want {
				t.Errorf("%s\nwant %s", got, c.want)
			}
			a := r.Advise(probe.Settings{})
			if a.Workers != c.advice.Workers || a.KeepAlive != c.advice.KeepAlive || a.Multiplex != c.advice.Multiplex || a.Preset != c.advice.Preset {
				t.Errorf("advice %+v, want %+v", a, c.advice)
			}
			if r.Values[fcgi.MpxsConns].Known && !r.AfterValues.Value {
				t.Error("no request after GET_VALUES")
			}
			if r.Capacity.Value.Full == probe.FullWaits && fact(r.Capacity.Value.Queued) != "1" {
				t.Errorf("%s waited in the accept queue, want 1", fact(r.Capacity.Value.Queued))
			}
			if b := r.Queue.Value.Backlog; !r.Queue.Known || c.backlog > 0 && b != c.backlog || b == 0 {
				t.Errorf("accept queue %+v, want a backlog of %d", r.Queue, c.backlog)
			}
			if len(r.Owners.Value) == 0 || !strings.HasPrefix(r.Owners.Value[0].Command, c.command) {
				t.Errorf("processes %+v, want %s", r.Owners, c.command)
			}
		})
	}
}

// dynamicPool overrides pm, so that only one process of a pool is there at first.
const dynamicPool = `
pm = dynamic
pm.start_servers = 1
pm.min_spare_servers = 1
pm.max_spare_servers = 1
`

func startLibfcgiAcceptLock(t testing.TB) backend {
	t.Helper()
	p, addr := startOnSocket(t, libfcgiLock(t, 4))
	return backend{addr: addr, workers: 4, process: p}
}

// What speaks another protocol is named.
func TestProbeOtherProtocols(t *testing.T) {
	for option, speaks := range map[string]string{
		"--http-socket": "HTTP", "--scgi-socket": "SCGI", "--socket": "uwsgi",
	} {
		t.Run(speaks, func(t *testing.T) {
			t.Parallel()
			socket := filepath.Join(socketDir(t), "app.sock")
			p := start(t, exec.Command(
				need(t, "uwsgi"), "--plugin", "python3", option, socket,
				"--wsgi-file", testdata(t, "routes.py"), "--need-app", "--die-on-term",
			))
			awaitSocket(t, p, socket)
			r, err := probed(t, backend{addr: "unix:" + socket}, "/hello", "")
			foreign, ok := errors.AsType[*probe.ProtocolError](err)
			if !ok || foreign.Speaks != speaks {
				t.Fatalf("%+v, %v, want %s", r, err, speaks)
			}
			if foreign.Backend == "" {
				return
			}
			url := startSluice(t, "--backend", foreign.Backend, "--workers", "1").url
			if got := newSite(t, url).get(t, "/hello"); got != "hello\n" {
				t.Errorf("served with --backend %s: %q", foreign.Backend, got)
			}
		})
	}
}

// What it prints serves a program that serves one request at a time, in several processes.
func TestProbeOneAtATime(t *testing.T) {
	t.Parallel()
	perl := needPerl(t, "CGI::Fast")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "fast.pl"), "use CGI::Fast; while (my $q = CGI::Fast->new) { print qq{Content-Type: text/plain\\r\\n\\r\\n$$\\n} }")
	cmd := exec.Command(perl, "fast.pl")
	cmd.Dir = dir
	_, addr := startOnSocket(t, cmd)
	out, err := exec.Command(sluiceBinary(), "probe", addr, "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Command string
		Spawn   string `json:"spawn_command"`
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("sluice serve --workers 1 --command-instances %d --command-dir %s -- %s", 2*runtime.NumCPU(), dir, strings.Join(cmd.Args, " "))
	if got.Spawn != want || !strings.HasSuffix(got.Command, " --workers 1") {
		t.Errorf("%+v\nwant %s", got, want)
	}
	s := newSite(t, startSluice(t, strings.Fields(strings.TrimPrefix(got.Spawn, "sluice serve "))...).url)
	processes := make(map[string]bool)
	for range 20 {
		processes[s.get(t, "/")] = true
	}
	if len(processes) < 2 {
		t.Errorf("answers of %d processes", len(processes))
	}
}

// The program: its exit status, its JSON, and that serve takes what it prints.
func TestProbeCommand(t *testing.T) {
	t.Parallel()
	be := startPerl(t, 2)
	out, err := exec.Command(sluiceBinary(), "probe", be.addr, "--path", "/hello", "--workers", "5", "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Advice  probe.Advice
		Command string
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if want := "--workers 5 is more than the 2 connections this backend serves at once"; len(got.Advice.Warnings) != 1 || !strings.HasPrefix(got.Advice.Warnings[0], want) {
		t.Errorf("warnings %q, want %s", got.Advice.Warnings, want)
	}
	args := strings.Fields(got.Command)
	if !slices.Equal(args[:2], []string{"sluice", "serve"}) {
		t.Fatalf("command %q", got.Command)
	}
	s := newSite(t, startSluice(t, args[2:]...).url)
	if got := s.get(t, "/hello"); got != "hello\n" {
		t.Errorf("got %q", got)
	}
}

// Ctrl-C ends a probe while it waits for an application that says nothing.
func TestProbeInterrupted(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(socketDir(t), "deaf.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var stderr bytes.Buffer
	cmd := exec.Command(sluiceBinary(), "probe", "unix:"+l.Addr().String())
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := bufio.NewReader(c).Peek(1); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 || stderr.String() != "sluice: probe: interrupted\n" {
		t.Errorf("%v, %q", err, stderr.String())
	}
}
