//go:build linux

package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// configured is a gate with a configuration file.
type configured struct {
	sluice
	file   string
	app    site
	status site
}

// startConfigured runs sluice serve with a file of that text, to which it adds where to listen.
func startConfigured(t testing.TB, server, text string) configured {
	t.Helper()
	g := configured{file: filepath.Join(t.TempDir(), "sluice.toml")}
	g.configure(t, server, text)
	g.sluice = runGate(t, socketDir(t), []string{sluiceBinary(), "serve", "--config", g.file})
	g.app = newSite(t, g.url)
	m := telling.FindStringSubmatch(g.output.String())
	if m == nil {
		t.Fatalf("no status listener in\n%s", g.output)
	}
	g.status = newSite(t, "http://"+m[1])
	return g
}

// configure replaces the file, as an editor does it.
func (g *configured) configure(t testing.TB, server, text string) {
	t.Helper()
	write(t, g.file+".new", "[server]\nlisten = [\"127.0.0.1:0\"]\nstatus = \"127.0.0.1:0\"\naccess_log = \"off\"\n%s\n%s", server, text)
	if err := os.Rename(g.file+".new", g.file); err != nil {
		t.Fatal(err)
	}
}

// reload has the file loaded again, and returns the answer.
func (g *configured) reload(t testing.TB) (status int, text string) {
	t.Helper()
	resp, body := g.status.do(t, g.status.request(t, http.MethodPost, "/reload", nil))
	return resp.StatusCode, body
}

// reloaded fails unless the file is in force.
func (g *configured) reloaded(t testing.TB) {
	t.Helper()
	if status, text := g.reload(t); status != http.StatusOK {
		t.Fatalf("the file was not loaded: %d %s", status, text)
	}
}

// at asks for a path of a host.
func (s site) at(t testing.TB, host, path string) (status int, body string) {
	t.Helper()
	r := s.request(t, http.MethodGet, path, nil)
	r.Host = host
	resp, body := s.do(t, r)
	return resp.StatusCode, body
}

// gates are the workers of the applications, and how many requests they have started.
func (g *configured) gates(t testing.TB) map[string][2]int {
	t.Helper()
	var state struct {
		Applications []struct {
			Name string
			Gate struct {
				Workers int
				Lanes   map[string]struct{ Started int }
			}
		}
	}
	if err := json.Unmarshal([]byte(g.status.get(t, "/status.json")), &state); err != nil {
		t.Fatal(err)
	}
	gates := make(map[string][2]int)
	for _, a := range state.Applications {
		started := 0
		for _, lane := range a.Gate.Lanes {
			started += lane.Started
		}
		gates[a.Name] = [2]int{a.Gate.Workers, started}
	}
	return gates
}

// startNamed runs a FastCGI application that answers with its name, the host, and SCRIPT_NAME and
// PATH_INFO. It counts its connections. ?take=5ms is how long the answer takes.
func startNamed(t testing.TB, name string) (addr string, conns *countedListener) {
	t.Helper()
	path := filepath.Join(socketDir(t), name+".sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	counted := &countedListener{Listener: l}
	served := make(chan error, 1)
	go func() {
		served <- fcgi.Serve(counted, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if gate := r.FormValue("gate"); gate != "" {
				goWait(w, r)
				return
			}
			if take, err := time.ParseDuration(r.FormValue("take")); err == nil {
				time.Sleep(take)
			}
			fmt.Fprintf(w, "%s %s %s", name, r.Host, r.URL.Path)
		}))
	}()
	t.Cleanup(func() {
		l.Close()
		<-served
	})
	return "unix:" + path, counted
}

// countedListener counts the connections that it accepts, and those of them that are open.
type countedListener struct {
	net.Listener
	accepted, open atomic.Int64
	most           atomic.Int64 // open at once; only Accept changes it
}

func (l *countedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.accepted.Add(1)
	l.most.Store(max(l.most.Load(), l.open.Add(1)))
	return &countedConn{Conn: c, closed: sync.OnceFunc(func() { l.open.Add(-1) })}, nil
}

// countedConn says when it is closed.
type countedConn struct {
	net.Conn
	closed func()
}

func (c *countedConn) Close() error {
	c.closed()
	return c.Conn.Close()
}

// Both fronts find the site of each request, by its host and then by the longest mount.
func TestSitesByHostAndMount(t *testing.T) {
	wiki, _ := startNamed(t, "wiki")
	blog, _ := startNamed(t, "blog")
	users := filepath.Join(t.TempDir(), "users")
	addUser(t, users, "jane", "secret", "-B", "-C", "4")
	text := fmt.Sprintf(`
[[application]]
name = "wiki"
backends = [%q]
[[application]]
name = "blog"
backends = [%q]
[[site]]
application = "wiki"
hosts = ["example.org", "*.wiki.example.org"]
[[site]]
application = "blog"
hosts = ["example.org", "blog.wiki.example.org"]
mount = "/blog"
[[site]]
application = "wiki"
hosts = ["example.org"]
mount = "/blog/old"
auth.file = %q
`, wiki, blog, users)
	for _, front := range []string{"loop", "net"} {
		for _, other := range []string{"", "[[site]]\napplication = \"blog\"\n"} {
			g := startConfigured(t, "front = \""+front+"\"", text+other)
			for _, c := range []struct {
				host, path string
				status     int
				body       string
			}{
				{"example.org", "/a", 200, "wiki example.org /a"},
				{"EXAMPLE.org:8080", "/blogs", 200, "wiki EXAMPLE.org:8080 /blogs"},
				{"example.org", "/blog", 200, "blog example.org /blog"},
				{"example.org", "/blog/new/../x", 200, "blog example.org /blog/new/../x"},
				{"example.org", "/blog/old/x", 401, ""},
				{"example.org", "/blog/x/../old/x", 401, ""},
				{"a.b.wiki.example.org", "/", 200, "wiki a.b.wiki.example.org /"},
				{"blog.wiki.example.org", "/blog/", 200, "blog blog.wiki.example.org /blog/"},
				{"blog.wiki.example.org", "/", 404, ""},
				{"wiki.example.org", "/", 421, "There is no site for the host \"wiki.example.org\""},
				{"127.0.0.1", "/", 421, "There is no site"},
			} {
				if c.status == 421 && other != "" {
					c.status, c.body = 200, "blog "+c.host+" /"
				}
				status, body := g.app.at(t, c.host, c.path)
				if status != c.status || !strings.Contains(body, c.body) {
					t.Errorf("%s, %q: %s%s: %d %q, want %d %q", front, other, c.host, c.path, status, body, c.status, c.body)
				}
			}
			r := g.app.request(t, http.MethodGet, "/blog/old/x", nil)
			r.Host = "example.org"
			r.SetBasicAuth("jane", "secret")
			if _, body := g.app.do(t, r); body != "wiki example.org /blog/old/x" {
				t.Errorf("%s: logged in: %q", front, body)
			}
		}
	}
}

// An application behind several sites has one gate, and never more connections than workers.
func TestOneGateForAllSites(t *testing.T) {
	addr, conns := startNamed(t, "app")
	g := startConfigured(t, "", fmt.Sprintf("[[application]]\nname = \"app\"\nbackends = [%q]\nworkers = 2\nqueue.timeout = \"30s\"\nreserve = 0\nadmission.long_after = \"10m\"\n", addr)+
		"[[site]]\nhosts = [\"s0.example.org\", \"s1.example.org\"]\n[[site]]\nhosts = [\"s2.example.org\"]\n[[site]]\nhosts = [\"s3.example.org\"]\n")
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for range 25 {
				r := g.app.request(t, http.MethodGet, "/?take=2ms", nil)
				r.Host = fmt.Sprintf("s%d.example.org", i)
				if resp, body, err := g.app.try(r); err != nil || resp.StatusCode != 200 {
					t.Errorf("%v %q, %v", resp, body, err)
				}
			}
		})
	}
	all.Wait()
	if n := conns.most.Load(); n > 2 {
		t.Errorf("the application had %d connections at once, and has 2 workers", n)
	}
	if got := g.gates(t)["app"]; got != [2]int{2, 100} {
		t.Errorf("workers, started: %v", got)
	}
}

// A reload changes what has changed, and nothing else.
func TestReloadOfTheFile(t *testing.T) {
	wiki, wikiConns := startNamed(t, "wiki")
	blog, _ := startNamed(t, "blog")
	command := troubled(t)
	text := func(workers int, sites string) string {
		return fmt.Sprintf("[[application]]\nname = \"wiki\"\nbackends = [%q]\ntimeouts.idle = \"1m\"\n"+
			"[[application]]\nname = \"blog\"\nbackends = [%q]\nworkers = %d\n"+
			"[[application]]\nname = \"started\"\nspawn.command = [%q, %q]\nspawn.user = \"root\"\n"+
			"[[site]]\napplication = \"wiki\"\nhosts = [\"wiki\"]\n[[site]]\napplication = \"started\"\nhosts = [\"started\"]\n%s",
			wiki, blog, workers, command.Args[0], command.Args[1], sites)
	}
	blogSite := "[[site]]\napplication = \"blog\"\nhosts = [\"blog\"]\n"
	g := startConfigured(t, "", text(4, blogSite))
	for _, host := range []string{"wiki", "blog"} {
		if status, body := g.app.at(t, host, "/"); status != 200 {
			t.Fatalf("%s: %d %s", host, status, body)
		}
	}
	_, pid := g.app.at(t, "started", "/pid")
	held := newGate(t)
	r := g.app.request(t, http.MethodGet, "/?gate="+held.dir, nil)
	r.Host = "blog"
	waiting := g.app.deliver(r)
	held.entered(t, 1)

	g.configure(t, "log_level = \"debug\"\nmax_header = \"16KiB\"", text(8, "[[site]]\napplication = \"blog\"\nhosts = [\"weblog\"]\n"))
	if out, err := exec.Command(sluiceBinary(), "reload", strings.TrimPrefix(g.status.url, "http://")).CombinedOutput(); err != nil || string(out) != "reloaded\n" {
		t.Fatalf("sluice reload: %v, %s", err, out)
	}
	g.logs(t, "needs a new start of sluice serve; until then the former value is in force\" setting=max_header")
	for host, want := range map[string]int{"wiki": 200, "weblog": 200, "blog": 421} {
		if status, body := g.app.at(t, host, "/"); status != want {
			t.Errorf("%s: %d %s, want %d", host, status, body, want)
		}
	}
	if _, now := g.app.at(t, "started", "/pid"); now != pid {
		t.Errorf("the command that did not change was process %s, and is %s", pid, now)
	}
	if gates := g.gates(t); gates["wiki"] != [2]int{4, 2} || gates["blog"] != [2]int{8, 3} {
		t.Errorf("workers and started requests: %v", gates)
	}
	if n := wikiConns.accepted.Load(); n != 1 {
		t.Errorf("%d connections to the application that did not change", n)
	}

	for name, wrong := range map[string]string{
		"wrong key":     strings.Replace(text(8, blogSite), "workers", "wokers", 1),
		"no directory":  text(8, blogSite+"root = \"/no/such\"\n"),
		"no such user":  strings.Replace(text(8, blogSite), "spawn.user = \"root\"", "spawn.user = \"nobody-of-that-name\"", 1),
		"not a command": text(8, blogSite) + "[[application]]\nname = \"new\"\nspawn.command = [\"/bin/false\"]\nspawn.user = \"root\"\n[[site]]\nhosts = [\"new\"]\napplication = \"new\"\n",
	} {
		g.configure(t, "", wrong)
		out, err := exec.Command(sluiceBinary(), "reload", strings.TrimPrefix(g.status.url, "http://")).CombinedOutput()
		if err == nil || !strings.Contains(string(out), g.file+":") {
			t.Errorf("%s: %v, %s", name, err, out)
		}
		if status, _ := g.app.at(t, "weblog", "/"); status != 200 {
			t.Errorf("%s: the former file is not in force: %d", name, status)
		}
		if _, now := g.app.at(t, "started", "/pid"); now != pid {
			t.Errorf("%s: the command was process %s, and is %s", name, pid, now)
		}
	}
	held.pass(t)
	within(t, "the request of a site that is gone", waiting).want(t, "waited\n")

	// SIGHUP does the same, and a site may move to another application.
	g.configure(t, "", strings.Replace(text(8, blogSite), "application = \"wiki\"\nhosts", "application = \"blog\"\nhosts", 1))
	g.signal(t, syscall.SIGHUP)
	eventually(t, "the site has moved", func() error {
		if _, body := g.app.at(t, "wiki", "/"); body != "blog wiki /" {
			return fmt.Errorf("%q", body)
		}
		return nil
	})
	if gates := g.gates(t); len(gates) != 2 {
		t.Errorf("applications: %v", gates)
	}
	// Another environment means other processes, of the same application.
	before := g.gates(t)["started"][1]
	g.configure(t, "", strings.Replace(text(8, blogSite), "spawn.user", "spawn.env = { X = \"1\" }\nspawn.user", 1))
	g.reloaded(t)
	eventually(t, "the process is replaced", func() error {
		if _, now := g.app.at(t, "started", "/pid"); now == pid {
			return errNotYet
		}
		return nil
	})
	if now := g.gates(t)["started"][1]; now <= before {
		t.Errorf("%d requests were started, before it was %d", now, before)
	}
	_, pid = g.app.at(t, "started", "/pid")

	out, err := exec.Command(sluiceBinary(), "restart", "--application", "blog", strings.TrimPrefix(g.status.url, "http://")).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "not started by Sluice") {
		t.Errorf("restart of an application that runs already: %v, %s", err, out)
	}
	if out, err := exec.Command(sluiceBinary(), "restart", strings.TrimPrefix(g.status.url, "http://")).CombinedOutput(); err != nil || string(out) != "restarted\n" {
		t.Errorf("restart: %v, %s", err, out)
	}
	if _, now := g.app.at(t, "started", "/pid"); now == pid {
		t.Errorf("process %s was not replaced", pid)
	}
}

// hundred is a file with 100 sites in front of 10 applications. The variant has other workers, and
// another site.
func hundred(apps []string, variant int) string {
	var b strings.Builder
	for i, addr := range apps {
		workers := 16
		if i == 0 {
			workers += variant
		}
		fmt.Fprintf(&b, "[[application]]\nname = \"a%d\"\nbackends = [%q]\nworkers = %d\ntimeouts.idle = \"1s\"\n", i, addr, workers)
	}
	for i := range 100 {
		fmt.Fprintf(&b, "[[site]]\napplication = \"a%d\"\nhosts = [\"s%d.example.org\"]\n", i%len(apps), i)
	}
	fmt.Fprintf(&b, "[[site]]\napplication = \"a0\"\nhosts = [\"variant%d.example.org\"]\n", variant)
	return b.String()
}

// caller asks the 100 sites in turn on one connection until stop is closed.
func (g *configured) caller(t testing.TB, n int, stop <-chan struct{}, failed func(error)) (slowest time.Duration, dials int) {
	count := 0
	transport := &http.Transport{MaxIdleConnsPerHost: 1, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		count++
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: patience}
	for i := n; !closed(stop); i++ {
		r, err := http.NewRequest(http.MethodGet, g.url+"/x", nil)
		if err != nil {
			failed(err)
			return
		}
		r.Host = fmt.Sprintf("s%d.example.org", i%100)
		begun := time.Now()
		resp, err := client.Do(r)
		if err != nil {
			failed(err)
			return slowest, count
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		slowest = max(slowest, time.Since(begun))
		pause(t, 2*time.Millisecond)
		if want := fmt.Sprintf("a%d s%d.example.org /x", i%10, i%100); err != nil || resp.StatusCode != 200 || string(body) != want {
			failed(fmt.Errorf("%s %q, %v, want %q", resp.Status, body, err, want))
		}
	}
	return slowest, count
}

// 100 sites are loaded again 50 times under load: no request fails, no connection of a client or to an
// application that did not change is lost, and nothing is left over.
func TestReloadsUnderLoad(t *testing.T) {
	for _, front := range []string{"loop", "net"} {
		t.Run(front, func(t *testing.T) {
			t.Parallel()
			var apps []string
			var conns []*countedListener
			for i := range 10 {
				addr, n := startNamed(t, fmt.Sprintf("a%d", i))
				apps, conns = append(apps, addr), append(conns, n)
			}
			g := startConfigured(t, "front = \""+front+"\"", hundred(apps, 0))
			const callers = 4
			stop, warm := make(chan struct{}), make(chan struct{})
			var all sync.WaitGroup
			var mu sync.Mutex
			var slowest time.Duration
			failed := func(err error) { t.Errorf("a request: %v", err) }
			for i := range apps { // everything is in use once
				if status, body := g.app.at(t, fmt.Sprintf("s%d.example.org", i), "/"); status != 200 {
					t.Fatalf("s%d: %d %s", i, status, body)
				}
			}
			calm, _ := g.caller(t, 0, after(300*time.Millisecond), failed)
			goroutines, files := g.goroutines(t), openFiles(t, g.Process.Pid)
			for i := range callers {
				all.Go(func() {
					<-warm
					longest, dials := g.caller(t, 25*i, stop, failed)
					mu.Lock()
					defer mu.Unlock()
					if slowest = max(slowest, longest); dials != 1 {
						t.Errorf("a client has connected %d times", dials)
					}
				})
			}
			began := time.Now()
			close(warm)
			var took []time.Duration
			for i := range 50 {
				g.configure(t, "front = \""+front+"\"", hundred(apps, i%2))
				begun := time.Now()
				g.reloaded(t)
				took = append(took, time.Since(begun))
			}
			close(stop)
			all.Wait()
			total := time.Duration(0)
			worst := time.Duration(0)
			for _, d := range took {
				total, worst = total+d, max(worst, d)
			}
			t.Logf("50 reloads of 100 sites: %v on average, %v at most; the slowest request: %v, without reloads %v", total/50, worst, slowest, calm)
			// Each client may need a connection to an application, and another one after a second in which it
			// did not run.
			most := int64(callers * (2 + time.Since(began)/time.Second))
			for i, n := range conns {
				if n := n.accepted.Load(); n > most {
					t.Errorf("a%d had %d connections", i, n)
				}
			}
			eventually(t, "the log says that one site has changed in each reload but the first", func() error {
				if out := g.output.String(); strings.Count(out, " changed_sites=0 ") != 1 || strings.Count(out, " changed_sites=1 ") != 49 {
					return errors.New(out)
				}
				return nil
			})
			if status, _ := g.app.at(t, "variant1.example.org", "/"); status != 200 {
				t.Errorf("the last file is not in force: %d", status)
			}
			eventually(t, "goroutines and files are back at what they were", func() error {
				if now, open := g.goroutines(t), openFiles(t, g.Process.Pid); now > goroutines+2 || open > files+2 {
					return fmt.Errorf("%d goroutines, were %d; %d files, were %d", now, goroutines, open, files)
				}
				return nil
			})
		})
	}
}

func after(d time.Duration) <-chan struct{} {
	c := make(chan struct{})
	time.AfterFunc(d, func() { close(c) })
	return c
}

var goroutinesNow = regexp.MustCompile(`(?m)^go_goroutines (\d+)`)

// goroutines are how many the gate has.
func (g *configured) goroutines(t testing.TB) int {
	t.Helper()
	m := goroutinesNow.FindStringSubmatch(g.status.get(t, "/metrics"))
	if m == nil {
		t.Fatal("no go_goroutines")
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A gate that is killed in the middle of reloads leaves nothing that keeps the next from starting with
// the same file.
func TestKilledWhileItReloads(t *testing.T) {
	addr, _ := startNamed(t, "a0")
	command := troubled(t)
	text := hundred([]string{addr}, 0) + fmt.Sprintf("[[application]]\nname = \"started\"\nspawn.command = [%q, %q]\nspawn.user = \"root\"\n[[site]]\nhosts = [\"started\"]\napplication = \"started\"\n", command.Args[0], command.Args[1])
	g := startConfigured(t, "", text)
	stop := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() { g.caller(t, 0, stop, func(error) {}) })
	for range 30 {
		g.signal(t, syscall.SIGHUP)
		pause(t, time.Millisecond)
	}
	if err := g.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-g.ended
	close(stop)
	all.Wait()
	next := runGate(t, socketDir(t), []string{sluiceBinary(), "serve", "--config", g.file})
	s := newSite(t, next.url)
	for _, host := range []string{"s1.example.org", "started"} {
		if status, body := s.at(t, host, "/pid"); status != 200 {
			t.Errorf("%s: %d %s", host, status, body)
		}
	}
}
