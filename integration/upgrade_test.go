//go:build linux

package integration

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// upgrading is a gate whose process is replaced. Its program is a copy that a test may change.
type upgrading struct {
	configured
	program string
}

func startUpgrading(t *testing.T, server, text string) *upgrading {
	t.Helper()
	dir := t.TempDir()
	g := &upgrading{program: filepath.Join(dir, "sluice")}
	g.install(t)
	g.file = filepath.Join(dir, "sluice.toml")
	g.configure(t, server, text)
	g.sluice = runGate(t, socketDir(t), []string{g.program, "serve", "--config", g.file})
	g.app = newSite(t, g.url)
	g.status = newSite(t, "http://"+telling.FindStringSubmatch(g.output.String())[1])
	t.Cleanup(func() {
		for _, pid := range g.processes(t) {
			kids := children(t, pid)
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended just now
			for _, kid := range kids {
				_ = syscall.Kill(-kid, syscall.SIGKILL)
			}
		}
	})
	return g
}

// install has the program be the one that is tested.
func (g *upgrading) install(t *testing.T) {
	t.Helper()
	_ = os.Remove(g.program) // as a package does: the file that runs stays as it is
	if err := os.Link(sluiceBinary(), g.program); err == nil {
		return
	}
	text, err := os.ReadFile(sluiceBinary())
	if err == nil {
		err = os.WriteFile(g.program, text, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// replace has the program be a shell script.
func (g *upgrading) replace(t *testing.T, script string) {
	t.Helper()
	_ = os.Remove(g.program)
	if err := os.WriteFile(g.program, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// processes are those of the gate, the oldest first.
func (g *upgrading) processes(t testing.TB) (pids []int) {
	t.Helper()
	return processesWith(t, g.file)
}

// processesWith are those that have an argument, the oldest first.
func processesWith(t testing.TB, argument string) (pids []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err == nil && slices.ContainsFunc(bytes.Split(text, []byte{0}), func(a []byte) bool { return string(a) == argument }) {
			pids = append(pids, pid)
		}
	}
	began := make(map[int]int) // ids are used again: the order is that of their beginnings
	for _, pid := range pids {
		began[pid] = beginning(pid)
	}
	slices.SortFunc(pids, func(a, b int) int { return cmp.Or(began[a]-began[b], a-b) })
	return pids
}

// beginning is when a process began, in ticks since the boot; 0 if it has ended.
func beginning(pid int) int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 20 {
		return 0
	}
	ticks, _ := strconv.Atoi(fields[19]) // the 22nd, and the second field may have spaces
	return ticks
}

// upgrade has the process replaced, and returns what "sluice upgrade" says.
func (g *upgrading) upgrade(t testing.TB) (string, error) {
	t.Helper()
	out, err := exec.Command(sluiceBinary(), "upgrade", strings.TrimPrefix(g.status.url, "http://")).CombinedOutput()
	return string(out), err
}

// upgraded fails unless it was replaced.
func (g *upgrading) upgraded(t testing.TB) {
	t.Helper()
	if out, err := g.upgrade(t); err != nil {
		t.Fatalf("sluice upgrade: %v, %s", err, out)
	}
}

// alone waits until there is one process, and returns it.
func (g *upgrading) alone(t testing.TB) (pid int) {
	t.Helper()
	eventually(t, "there is one process", func() error {
		all := g.processes(t)
		if len(all) != 1 {
			return fmt.Errorf("there are %v", all)
		}
		pid = all[0]
		return nil
	})
	return pid
}

// upgradeLoad is what clients do meanwhile.
type upgradeLoad struct {
	url, ledger string
	stop        chan struct{}
	clients     sync.WaitGroup
	pages       atomic.Int64
	polls       atomic.Int64
	uploads     atomic.Int64
	slowest     atomic.Int64 // milliseconds, of a page
}

func startUpgradeLoad(t *testing.T, url string, polls int) *upgradeLoad {
	l := &upgradeLoad{url: url, ledger: filepath.Join(t.TempDir(), "ledger"), stop: make(chan struct{})}
	for i := range 6 { // half of them keep their connections
		transport := &http.Transport{DisableKeepAlives: i%2 == 0}
		l.client(t, &l.pages, transport, func(int) (string, io.Reader, string) { return "/page?ms=5", nil, "page\n" })
	}
	for range polls {
		transport := &http.Transport{DisableKeepAlives: true}
		l.client(t, &l.polls, transport, func(int) (string, io.Reader, string) { return "/poll?s=0.5", nil, "polled\n" })
	}
	for i := range 3 {
		transport := &http.Transport{DisableKeepAlives: true}
		l.client(t, &l.uploads, transport, func(n int) (string, io.Reader, string) {
			text := strings.Repeat("b", 32<<10)
			id := fmt.Sprintf("u%d-%d", i, n)
			return "/once?ms=5&t=" + id + "&ledger=" + l.ledger, &slowly{rest: text}, id + "\n" + text
		})
	}
	return l
}

// slowly is a body that takes its time.
type slowly struct{ rest string }

func (s *slowly) Read(p []byte) (int, error) {
	if s.rest == "" {
		return 0, io.EOF
	}
	time.Sleep(2 * time.Millisecond)
	n := copy(p, s.rest[:min(len(s.rest), 4<<10)])
	s.rest = s.rest[n:]
	return n, nil
}

// client sends requests one after the other until the load ends: none may fail.
func (l *upgradeLoad) client(t *testing.T, count *atomic.Int64, transport *http.Transport, next func(n int) (target string, body io.Reader, want string)) {
	l.clients.Go(func() {
		defer transport.CloseIdleConnections()
		c := &http.Client{Transport: transport, Timeout: patience}
		for n := 0; !closed(l.stop); n++ {
			target, body, want := next(n)
			method := http.MethodGet
			if body != nil {
				method = http.MethodPost
			}
			r, err := http.NewRequest(method, l.url+target, body)
			if err != nil {
				t.Error(err)
				return
			}
			begun := time.Now()
			resp, err := c.Do(r)
			if err != nil {
				t.Errorf("%s %s: %v", method, target, err)
				return
			}
			text, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK || string(text) != want || err != nil {
				t.Errorf("%s %s: %s %.100q, %v", method, target, resp.Status, text, err)
				return
			}
			count.Add(1)
			if count == &l.pages {
				l.slowest.Store(max(l.slowest.Load(), time.Since(begun).Milliseconds()))
			}
		}
	})
}

// end ends it, and looks for requests that were run twice.
func (l *upgradeLoad) end(t *testing.T) {
	t.Helper()
	close(l.stop)
	l.clients.Wait()
	text, err := os.ReadFile(l.ledger)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(string(text))
	if n := int64(len(lines)); n != l.uploads.Load() {
		t.Errorf("%d uploads were answered, and the application has run %d", l.uploads.Load(), n)
	}
	slices.Sort(lines)
	if n := len(slices.Compact(lines)); n != len(lines) {
		t.Errorf("%d uploads were run more than once", len(lines)-n)
	}
}

// Another process takes over again and again, ten times in make proofs, while clients load pages, wait in long-polls and upload: nobody
// is refused, no request fails or is run twice, and the application never sees more connections than it
// has threads. The last process has as many descriptors as the first.
func TestUpgradeUnderLoad(t *testing.T) {
	t.Parallel()
	eachFront(t, func(t *testing.T, front string) {
		times := 2
		if os.Getenv("SLUICE_SOAK") != "" {
			times = 10
		}
		upgradesUnderLoad(t, front, times)
	})
}

// The same holds for an application whose threads notice late that their connections were closed.
func TestUpgradeThreadsNoticeLate(t *testing.T) {
	t.Parallel()
	upgradesUnderLoad(t, "loop", 1, "--notice", "0.4")
}

func upgradesUnderLoad(t *testing.T, front string, times int, options ...string) {
	const workers = 8
	be, stats := startThreadedWith(t, workers, options...)
	g := startUpgrading(t, "front = \""+front+"\"", fmt.Sprintf("[[application]]\nbackends = [%q]\nworkers = %d\n[[site]]\n", be.addr, workers))
	g.app.get(t, "/hello")
	first := openFiles(t, g.alone(t))
	load := startUpgradeLoad(t, g.url, workers/2)
	for range times {
		time.Sleep(100 * time.Millisecond)
		g.install(t)
		g.upgraded(t)
		g.alone(t)
	}
	load.end(t)
	c := countersOf(t, stats)
	if c.TurnedAway > 0 || c.MostOpen > workers {
		t.Errorf("the application has %d threads: %+v", workers, c)
	}
	pid := g.alone(t)
	eventually(t, "there are as many descriptors as before", func() error {
		if now := openFiles(t, pid); now > first+workers {
			return fmt.Errorf("%d, and there were %d", now, first)
		}
		return nil
	})
	if kids := children(t, pid); len(kids) > 0 {
		t.Errorf("it has processes: %v", kids)
	}
	t.Logf("%d pages, the slowest %d ms; %d long-polls, %d uploads; at most %d connections", load.pages.Load(), load.slowest.Load(), load.polls.Load(), load.uploads.Load(), c.MostOpen)
}

// What the former process has of the workers while its long-polls end is little, and pages go on.
func TestUpgradeLeavesWorkers(t *testing.T) {
	t.Parallel()
	const workers = 8
	be, stats := startThreaded(t, workers)
	g := startUpgrading(t, "", fmt.Sprintf("[[application]]\nbackends = [%q]\nworkers = %d\n[[site]]\nlong_poll = [\"/poll\"]\n", be.addr, workers))
	var polls sync.WaitGroup
	for range 12 {
		polls.Go(func() {
			if text := g.app.get(t, "/poll?s=2"); text != "polled\n" {
				t.Errorf("a poll got %q", text)
			}
		})
	}
	eventually(t, "polls wait at the application", func() error {
		if c := countersOf(t, stats); c.Waiting == 0 {
			return errNotYet
		}
		return nil
	})
	g.upgraded(t)
	if text := g.status.get(t, "/status.json"); len(g.processes(t)) > 1 && !strings.Contains(text, "left to the process before this one") {
		t.Errorf("nothing is said of the former process's workers: %s", text)
	}
	for len(g.processes(t)) > 1 {
		begun := time.Now()
		resp, err := http.Get(g.url + "/hello")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if took := time.Since(begun); resp.StatusCode != http.StatusOK || took > 4*time.Second {
			t.Errorf("a page: %s after %v", resp.Status, took)
		}
		time.Sleep(20 * time.Millisecond)
	}
	polls.Wait()
	if c := countersOf(t, stats); c.TurnedAway > 0 || c.MostOpen > workers {
		t.Errorf("the application has %d threads: %+v", workers, c)
	}
}

// A new process that cannot take over changes nothing, and the reason is told.
func TestUpgradeFails(t *testing.T) {
	t.Parallel()
	addr, _ := startNamed(t, "a")
	app := fmt.Sprintf("[[application]]\nname = \"a\"\nbackends = [%q]\n", addr)
	site := "[[site]]\napplication = \"a\"\n"
	g := startUpgrading(t, "", app+site)
	g.app.get(t, "/")
	pid := g.alone(t)
	fails := func(want string) {
		t.Helper()
		out, err := g.upgrade(t)
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 || !strings.Contains(out, want) {
			t.Errorf("sluice upgrade: %v, %q; want status 1 and %q", err, out, want)
		}
		g.app.get(t, "/after")
		if now := g.alone(t); now != pid {
			t.Errorf("process %d has become %d", pid, now)
		}
	}
	g.configure(t, "", "nonsense = 1\n"+app+site)
	fails("nonsense")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	write(t, g.file, "[server]\nlisten = [\"127.0.0.1:0\", %q]\nstatus = \"127.0.0.1:0\"\naccess_log = \"off\"\n%s%s", taken.Addr(), app, site)
	fails("the address is in use")
	spawn := func(more string) string {
		return "[[application]]\nname = \"b\"\nspawn.user = \"root\"\n" + more + "[[site]]\napplication = \"b\"\nhosts = [\"b\"]\n"
	}
	g.configure(t, "", app+site+spawn("spawn.command = [\"/bin/false\"]\n"))
	fails("/bin/false")
	g.configure(t, "", app+site)
	g.replace(t, "exit 3")
	fails("exit status 3")
	g.replace(t, "kill -KILL $$")
	fails("signal: killed")
	_ = os.Remove(g.program)
	fails("no such file")
	g.replace(t, "exec sleep 1000")
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	hurried := exec.CommandContext(ctx, sluiceBinary(), "upgrade", strings.TrimPrefix(g.status.url, "http://"))
	hurried.Cancel = func() error { return hurried.Process.Signal(syscall.SIGINT) }
	if err := hurried.Run(); err == nil {
		t.Error("a process that does nothing has taken over")
	}
	g.install(t)
	g.logs(t, "no other process has taken over; this one goes on")
	eventually(t, "the next is not hindered", func() error {
		out, err := g.upgrade(t)
		if err != nil {
			return errors.New(out)
		}
		return nil
	})
	if now := g.alone(t); now == pid {
		t.Error("the process is the same")
	}
	g.app.get(t, "/new")
}

// A command that has an address of its own cannot run twice.
func TestUpgradeWithFixedAddress(t *testing.T) {
	t.Parallel()
	command := troubled(t)
	g := startUpgrading(t, "", fmt.Sprintf("[[application]]\nspawn.command = [%q, %q]\nspawn.user = \"root\"\nspawn.listen = %q\n[[site]]\n", command.Args[0], command.Args[1], freeAddress(t)))
	out, err := g.upgrade(t)
	if err == nil || !strings.Contains(out, "cannot run twice, because spawn.listen is 127.0.0.1:") || !strings.Contains(out, "restart") {
		t.Errorf("%v, %q", err, out)
	}
	g.app.get(t, "/pid")
}

// What sluice has started is started anew, and ends with the former process; unix sockets stay; the
// signal does the same as the command.
func TestUpgradeOfApplications(t *testing.T) {
	t.Parallel()
	command := troubled(t)
	path := filepath.Join(socketDir(t), "http.sock")
	g := startUpgrading(t, "", fmt.Sprintf("[[application]]\nspawn.command = [%q, %q]\nspawn.user = \"root\"\n[[site]]\n", command.Args[0], command.Args[1]))
	text, err := os.ReadFile(g.file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, g.file, "%s", strings.Replace(string(text), `listen = ["127.0.0.1:0"]`, fmt.Sprintf(`listen = ["127.0.0.1:0", %q, "unix:@%s"]`, "unix:"+path, path), 1))
	g.reloaded(t)
	was := g.app.get(t, "/pid")
	for i := range 3 {
		before := g.alone(t)
		if i == 0 {
			if err := syscall.Kill(before, syscall.Signal(35)); err != nil {
				t.Fatal(err)
			}
			eventually(t, "another process serves", func() error {
				if all := g.processes(t); slices.Contains(all, before) {
					return fmt.Errorf("there are %v", all)
				}
				return nil
			})
		} else {
			g.upgraded(t)
		}
		g.alone(t)
		if _, err := unixSite(path); err != nil {
			t.Errorf("the unix socket: %v", err)
		}
		if _, err := unixSite("@" + path); err != nil {
			t.Errorf("the abstract socket: %v", err)
		}
		now := g.app.get(t, "/pid")
		if now == was {
			t.Errorf("the application is process %s, as before", now)
		}
		if pid, err := strconv.Atoi(strings.TrimSpace(was)); err != nil || syscall.Kill(pid, 0) == nil {
			t.Errorf("the former application, process %s, is there, %v", was, err)
		}
		was = now
	}
	pid := g.alone(t)
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all is gone", func() error {
		if all := g.processes(t); len(all) > 0 {
			return fmt.Errorf("there are %v", all)
		}
		if _, err := os.Stat(path); err == nil {
			return errors.New("the unix socket is there")
		}
		return nil
	})
}

// Sockets of systemd are handed on, and it is told which process is the service's.
func TestUpgradeOfService(t *testing.T) {
	t.Parallel()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	file, err := tcp.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	status := "unix:" + filepath.Join(socketDir(t), "status.sock")
	a := activated{sockets: []*os.File{file}, names: "web", notices: newNotices(t), args: append(startLibfcgi(t, 8).args(), "--listen", "systemd:web", "--status", status)}
	p := a.start(t)
	url := "http://" + tcp.Addr().String()
	former := p.Process.Pid
	for range 2 {
		newSite(t, url).get(t, "/hello")
		if out, err := exec.Command(sluiceBinary(), "upgrade", status).CombinedOutput(); err != nil {
			t.Fatalf("sluice upgrade: %v, %s", err, out)
		}
		_, text, _ := strings.Cut(a.notices.next(t), "MAINPID=")
		pid, err := strconv.Atoi(text)
		if err != nil || pid == former {
			t.Fatalf("the main process is %q, %v, and was %d", text, err, former)
		}
		t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
		a.notices.await(t, "READY=1")
		eventually(t, "the former process has ended", func() error { return stillThere(former) })
		former = pid
	}
	newSite(t, url).get(t, "/hello")
	if err := syscall.Kill(former, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	a.notices.await(t, "STOPPING=1")
}

// stillThere is an error while a process is there that may be nobody's child any more.
func stillThere(pid int) error {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil || strings.Contains(string(text), ") Z ") {
		return nil
	}
	return errNotYet
}

// Whoever is killed, and whenever: there is one process then, or none, and nothing is left of the others.
func TestUpgradeKilled(t *testing.T) {
	t.Parallel()
	be, stats := startThreaded(t, 4)
	command := troubled(t)
	text := fmt.Sprintf("[[application]]\nname = \"a\"\nbackends = [%q]\nworkers = 4\n[[application]]\nname = \"b\"\nspawn.command = [%q, %q]\nspawn.user = \"root\"\n"+
		"[[site]]\napplication = \"a\"\n[[site]]\napplication = \"b\"\nhosts = [\"b\"]\n", be.addr, command.Args[0], command.Args[1])
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	times := 3
	if os.Getenv("SLUICE_SOAK") != "" {
		times = 30
	}
	for range times {
		g := startUpgrading(t, "", text)
		g.app.get(t, "/hello")
		former := g.alone(t)
		done := make(chan error, 1)
		go func() {
			_, err := g.upgrade(t)
			done <- err
		}()
		killNew := random.IntN(2) == 0
		time.Sleep(time.Duration(random.IntN(900)) * time.Millisecond)
		victim := former
		if all := g.processes(t); killNew && len(all) > 1 {
			victim = all[len(all)-1]
		}
		_ = syscall.Kill(victim, syscall.SIGKILL)
		err := <-done
		eventually(t, "there is one process that serves, or none", func() error {
			switch all := g.processes(t); len(all) {
			case 0:
				return nil
			case 1:
				client := http.Client{Timeout: time.Second}
				resp, err := client.Get(g.url + "/hello")
				if err == nil {
					_ = resp.Body.Close()
				}
				return err
			default:
				return fmt.Errorf("there are %v", all)
			}
		})
		all := g.processes(t)
		t.Logf("killed %d, former %d: upgrade %v, left %v", victim, former, err, all)
		if len(all) == 1 {
			if kids := children(t, all[0]); len(kids) != 1 {
				t.Errorf("it has processes %v, want one", kids)
			}
			_ = syscall.Kill(all[0], syscall.SIGTERM)
		} else if victim != former && err != nil {
			t.Errorf("the new process was killed, and the former is gone, too")
		}
		eventually(t, "the applications are gone", func() error {
			if left := processesWith(t, command.Args[1]); len(left) > 0 {
				return fmt.Errorf("there are %v", left)
			}
			return nil
		})
	}
	if c := countersOf(t, stats); c.TurnedAway > 0 || c.MostOpen > 4 {
		t.Errorf("the application has 4 threads: %+v", c)
	}
}
