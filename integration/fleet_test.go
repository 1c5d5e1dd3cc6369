//go:build linux

package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/fleet"
)

// redisServer is an engine for fleets. It forgets everything when it ends.
type redisServer struct {
	*process
	socket, dir string
}

func startRedis(t testing.TB) *redisServer {
	t.Helper()
	r := &redisServer{dir: socketDir(t)}
	r.socket = filepath.Join(r.dir, "redis.sock")
	r.restart(t)
	return r
}

func (r *redisServer) url() string { return "unix://" + r.socket }

// restart runs it again, after it has ended.
func (r *redisServer) restart(t testing.TB) {
	t.Helper()
	r.setClock(t, 0)
	cmd := exec.Command(need(t, "redis-server"), "--port", "0", "--unixsocket", r.socket, "--dir", r.dir, "--save", "", "--daemonize", "no")
	cmd.Env = append(os.Environ(), "LD_PRELOAD="+compileClock(t), "CLOCK_FILE="+filepath.Join(r.dir, "clock"))
	r.process = start(t, cmd)
	awaitSocket(t, r.process, r.socket)
}

// compileClock builds testdata/clock.c, which changes a process's idea of the time.
func compileClock(t testing.TB) string {
	t.Helper()
	library := filepath.Join(socketDir(t), "clock.so")
	run(t, exec.Command(need(t, "gcc"), "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", library, testdata(t, "clock.c")))
	return library
}

// setClock sets its clock, as seconds from the right time.
func (r *redisServer) setClock(t testing.TB, seconds int) {
	t.Helper()
	write(t, filepath.Join(r.dir, "clock.new"), "%+d", seconds)
	if err := os.Rename(filepath.Join(r.dir, "clock.new"), filepath.Join(r.dir, "clock")); err != nil {
		t.Fatal(err)
	}
	if r.process == nil {
		return
	}
	eventually(t, "the engine's clock is set", func() error {
		c, err := net.Dial("unix", r.socket)
		if err != nil {
			return nil // it does not run
		}
		defer c.Close()
		var n, digits int
		var sec int64
		if _, err := fmt.Fprint(c, "TIME\r\n"); err != nil {
			return err
		}
		if _, err := fmt.Fscanf(c, "*%d\r\n$%d\r\n%d\r\n", &n, &digits, &sec); err != nil {
			return err
		}
		if off := sec - time.Now().Unix() - int64(seconds); off < -60 || off > 60 {
			return fmt.Errorf("it is %d s off", off)
		}
		return nil
	})
}

// kill ends it at once.
func (r *redisServer) kill(t testing.TB) {
	t.Helper()
	if err := r.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-r.ended
}

// cable is the way to an engine, and can be cut.
type cable struct {
	net.Listener
	mu    sync.Mutex
	isCut bool
	conns []net.Conn
}

func startCable(t testing.TB, to string) *cable {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(socketDir(t), "cable.sock"))
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{Listener: l}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", to)
			if err != nil || !c.add(near, far) {
				near.Close()
				continue
			}
			for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
				all.Go(func() {
					io.Copy(way[0], way[1])
					way[0].Close()
					way[1].Close()
				})
			}
		}
	})
	t.Cleanup(func() {
		l.Close()
		c.cut()
		all.Wait()
	})
	return c
}

func (c *cable) add(conns ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns = append(c.conns, conns...)
	return !c.isCut
}

func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isCut = true
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}

func (c *cable) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isCut = false
}

// fleetApp is a server with as many threads, which turns away what it has no thread for.
type fleetApp struct{ addr, stats string }

func startFleetApp(t testing.TB) fleetApp {
	t.Helper()
	be, stats := startThreaded(t, fleetWorkers)
	return fleetApp{be.addr, stats}
}

// wantRoom fails if there were ever more connections than threads. One that comes before a thread has noticed that
// its own was closed is turned away, too, but is none too many: a gate waits a second for that at most.
func (a fleetApp) wantRoom(t testing.TB) {
	t.Helper()
	if c := countersOf(t, a.stats); c.TurnedAway > c.Unnoticed {
		t.Errorf("the application has %d threads: %+v", fleetWorkers, c)
	}
}

const fleetWorkers = 16

// startFleet runs gates with those names in front of the application, of which there may be most.
func startFleet(t testing.TB, app fleetApp, engine string, most int, names ...string) []configured {
	t.Helper()
	return startFleetWith(t, "", app, engine, most, names...)
}

// startFleetWith is startFleet, and adds settings to the site.
func startFleetWith(t testing.TB, settings string, app fleetApp, engine string, most int, names ...string) (all []configured) {
	t.Helper()
	key := holdKeyFile(t)
	for _, name := range names {
		text := fmt.Sprintf("[[application]]\nname = \"app\"\nbackends = [%q]\nworkers = %d\nfleet.engine = %q\nfleet.gates = %d\nfleet.application = \"app\"\nfleet.settle = \"3s\"\nfleet.name = %q\nhold.key_file = %q\n[[site]]\ntrusted_proxies = [\"127.0.0.1\"]\n%s",
			app.addr, fleetWorkers, engine, most, name, key, settings)
		all = append(all, startConfigured(t, "", text))
	}
	return all
}

// fleetState is what a gate knows of the fleet.
func (g *configured) fleetState(t testing.TB) (s fleet.State) {
	t.Helper()
	var state struct {
		Applications []struct{ Fleet fleet.State }
	}
	if err := json.Unmarshal([]byte(g.status.get(t, "/status.json")), &state); err != nil {
		t.Fatal(err)
	}
	return state.Applications[0].Fleet
}

// awaitFleet waits until all gates are in a state.
func awaitFleet(t testing.TB, gates []configured, what string, is func(fleet.State) bool) {
	t.Helper()
	eventually(t, what, func() error {
		for i := range gates {
			if s := gates[i].fleetState(t); !is(s) {
				return fmt.Errorf("%+v", s)
			}
		}
		return nil
	})
}

func leased(s fleet.State) bool { return s.Status == fleet.Leased && s.Allowed > 0 }

// fleetLoad asks all gates for pages, at a rate, and holds polls at all of them.
type fleetLoad struct {
	stop     chan struct{}
	all      sync.WaitGroup
	mu       sync.Mutex
	times    []time.Duration
	failures []string
	polls    atomic.Int64
}

func startFleetLoad(t testing.TB, gates []configured, every time.Duration, polls int) *fleetLoad {
	l := &fleetLoad{stop: make(chan struct{})}
	l.all.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-l.stop:
				return
			case <-tick.C:
			}
			l.all.Go(func() { l.page(t, gates[i%len(gates)]) })
		}
	})
	for i := range polls {
		l.all.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
				}
				g := gates[i%len(gates)].app
				if resp, _, err := g.try(fromSomebody(g.request(t, http.MethodGet, "/poll?s=2", nil))); err == nil && resp.StatusCode == http.StatusOK {
					l.polls.Add(1)
				}
			}
		})
	}
	return l
}

var somebody atomic.Uint32

// fromSomebody has a request come from an address of its own.
func fromSomebody(r *http.Request) *http.Request {
	n := somebody.Add(1)
	r.Header.Set("X-Forwarded-For", fmt.Sprintf("10.%d.%d.%d", byte(n>>16), byte(n>>8), byte(n)))
	return r
}

func (l *fleetLoad) page(t testing.TB, g configured) {
	begun := time.Now()
	resp, _, err := g.app.try(fromSomebody(g.app.request(t, http.MethodGet, "/page?ms=20", nil)))
	took := time.Since(begun)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil || resp.StatusCode != http.StatusOK {
		l.failures = append(l.failures, fmt.Sprint(resp, err))
	}
	l.times = append(l.times, took)
}

// begin forgets what was measured so far.
func (l *fleetLoad) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times, l.failures = nil, nil
}

func (l *fleetLoad) end() (p50, p99 time.Duration) {
	close(l.stop)
	l.all.Wait()
	slices.Sort(l.times)
	if len(l.times) == 0 {
		return 0, 0
	}
	return l.times[len(l.times)/2], l.times[len(l.times)*99/100]
}

// An engine that wants a password says in words of its own protocol that there is none; the gate says it in
// those of its settings.
func TestFleetPassword(t *testing.T) {
	engine := startRedis(t)
	c, err := net.Dial("unix", engine.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answer := make([]byte, 64)
	if _, err := io.WriteString(c, "CONFIG SET requirepass correct\r\n"); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(answer); err != nil || string(answer[:n]) != "+OK\r\n" {
		t.Fatalf("the engine says %q, %v", answer[:n], err)
	}
	for password, want := range map[string]string{"": "fleet.engine has none", ":wrong@": "WRONGPASS", ":correct@": ""} {
		ledger, err := fleet.NewRedis("unix://"+password+engine.socket, "app")
		if err != nil {
			t.Fatal(err)
		}
		terms := fleet.Terms{Workers: 4, Gates: 2, Term: 5 * time.Second, Settle: time.Second, Forget: time.Minute}
		_, err = ledger.Renew(t.Context(), terms, fleet.Report{Gate: "g", Name: "one", Seq: 1, Mode: fleet.Join})
		if got := fmt.Sprint(err); (err == nil) != (want == "") || !strings.Contains(got, want) && err != nil {
			t.Errorf("with %q: %v, want %q", password, err, want)
		}
		if err := ledger.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Gates that share an application never have more connections than it has workers, and pages are
// answered while long-polls want all of them.
func TestFleet(t *testing.T) {
	t.Parallel()
	sizes := []int{2}
	if os.Getenv(soakVariable) != "" {
		sizes = []int{1, 2, 8}
	}
	for _, n := range sizes {
		t.Run(fmt.Sprint(n, " gates"), func(t *testing.T) {
			app, engine := startFleetApp(t), startRedis(t)
			var names []string
			for i := range n {
				names = append(names, fmt.Sprint("gate", i))
			}
			gates := startFleet(t, app, engine.url(), n, names...)
			awaitFleet(t, gates, "all gates have a lease", leased)
			load := startFleetLoad(t, gates, 4*time.Millisecond, 24)
			pause(t, 3*time.Second)
			load.begin()
			pause(t, 4*time.Second)
			p50, p99 := load.end()
			if len(load.failures) > 0 {
				t.Errorf("%d of %d pages failed: %s", len(load.failures), len(load.times), load.failures[0])
			}
			app.wantRoom(t)
			t.Logf("%d pages, half in %v, 99 %% in %v; %d polls; %+v", len(load.times), p50, p99, load.polls.Load(), countersOf(t, app.stats))
		})
	}
}

// An engine that is killed, comes back empty, stands still, has its clock set, or cannot be reached by
// one gate: each gate that cannot reach it uses no more than its share, and the application never sees
// too many connections.
func TestFleetWithoutEngine(t *testing.T) {
	t.Parallel()
	app, engine := startFleetApp(t), startRedis(t)
	way := startCable(t, engine.socket)
	gates := append(startFleet(t, app, engine.url(), 2, "one"), startFleet(t, app, "unix://"+way.Addr().String(), 2, "two")...)
	awaitFleet(t, gates, "all gates have a lease", leased)
	load := startFleetLoad(t, gates[:1], 10*time.Millisecond, 20)
	awaitMore := func() {
		t.Helper()
		awaitFleet(t, gates[:1], "the gate with work has more than its share", func(s fleet.State) bool { return leased(s) && s.Allowed > fleetWorkers/2 })
	}
	alone := func(s fleet.State) bool { return s.Status == fleet.Alone && s.Allowed <= fleetWorkers/2 }
	awaitMore()

	engine.kill(t)
	awaitFleet(t, gates, "each gate has its share", alone)
	engine.restart(t)
	awaitFleet(t, gates, "all gates have a lease again", leased)

	signal := func(sig syscall.Signal) {
		t.Helper()
		if err := engine.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGSTOP)
	pause(t, 2*time.Second)
	for i := range gates {
		if s := gates[i].fleetState(t); s.Status != fleet.Leased || s.Failed == 0 {
			t.Errorf("while the engine stands still: %+v", s)
		}
	}
	signal(syscall.SIGCONT)
	awaitMore()

	engine.setClock(t, -3600)
	pause(t, time.Second)
	awaitMore()
	engine.setClock(t, 7200)
	pause(t, time.Second)
	for i := range gates {
		if s := gates[i].fleetState(t); s.Status != fleet.Leased {
			t.Errorf("when the engine's clock was set: %+v", s)
		}
	}

	way.cut()
	awaitFleet(t, gates[1:], "the gate that is cut off has its share", alone)
	awaitFleet(t, gates[:1], "the other has a lease", leased)
	way.mend()
	awaitFleet(t, gates, "all gates have a lease again", leased)

	load.end()
	if len(load.failures) > 0 {
		t.Errorf("%d of %d pages failed: %s", len(load.failures), len(load.times), load.failures[0])
	}
	app.wantRoom(t)
}

// What is published at one gate reaches the clients that are held at the others, as soon as the engine is
// there; the publisher is told if it is not.
func TestFleetPublishes(t *testing.T) {
	t.Parallel()
	app, engine := startFleetApp(t), startRedis(t)
	gates := startFleet(t, app, engine.url(), 2, "one", "two")
	awaitFleet(t, gates, "all gates have a lease", leased)
	room := &newsroom{gate: laneGate{gates[0].sluice, gates[0].status.url}}
	poll := func(after int) (news []chan string) {
		t.Helper()
		for i := range gates {
			c := make(chan string, 1)
			go func() { c <- gates[i].app.get(t, fmt.Sprint("/news?after=", after)) }()
			news = append(news, c)
			eventually(t, "a client is held", func() error {
				var state struct {
					Applications []struct{ Hold struct{ Clients int } }
				}
				if err := json.Unmarshal([]byte(gates[i].status.get(t, "/status.json")), &state); err != nil || state.Applications[0].Hold.Clients != 1 {
					return fmt.Errorf("%+v, %v", state, err)
				}
				return nil
			})
		}
		return news
	}
	want := func(news []chan string, text string) {
		t.Helper()
		for i, c := range news {
			select {
			case got := <-c:
				if got != text {
					t.Errorf("gate %d: %q, want %q", i, got, text)
				}
			case <-time.After(patience):
				t.Fatalf("gate %d: no news", i)
			}
		}
	}
	polls := poll(0)
	publish(t, room.gate.status, room.tell(t, "first"))
	want(polls, "1 first\n")

	polls = poll(1)
	engine.kill(t)
	item := room.tell(t, "second")
	body, err := json.Marshal(map[string]any{"items": []any{item}})
	if err != nil {
		t.Fatal(err)
	}
	r := gates[1].status.request(t, http.MethodPost, "/publish/", bytes.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+holdKey)
	if resp, text := gates[1].status.do(t, r); resp.StatusCode != http.StatusBadGateway || !strings.Contains(text, "this gate alone") {
		t.Errorf("without the engine: %d %s", resp.StatusCode, text)
	}
	want(polls[1:], "2 second\n")
	engine.restart(t)
	eventually(t, "the engine takes what is published", func() error {
		resp, err := http.DefaultClient.Do(withBody(r, body))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
	want(polls[:1], "2 second\n")
}

// withBody is a request once more.
func withBody(r *http.Request, body []byte) *http.Request {
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	return r
}
