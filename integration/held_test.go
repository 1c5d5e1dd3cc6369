//go:build linux

package integration

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const holdKey = "0123456789abcdef0123456789abcdef"

// holdKeyFile is a file with the key.
func holdKeyFile(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hold.key")
	write(t, file, "%s\n", holdKey)
	return file
}

// newsroom is an application of 16 threads in Python that has news, its gate, and whoever publishes
// them.
type newsroom struct {
	gate laneGate
	app  *process
	told int // the number of the last news

	direct string // URL of an application that speaks HTTP
}

func startNewsroom(t testing.TB, args ...string) *newsroom {
	t.Helper()
	be, _ := startThreaded(t, 16)
	n := &newsroom{app: be.process}
	n.gate = startLanes(t, lanesOn, be, append([]string{
		"--hold", holdKeyFile(t), "--hold-client-limit", "20000", "--queue-long-size", "40000", "--queue-long-timeout", "30s",
	}, args...)...)
	return n
}

// publish publishes items at a status listener.
func publish(t testing.TB, status string, items ...map[string]any) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"items": items})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, status+"/publish/", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+holdKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || string(text) != "Published\n" {
		t.Fatalf("%s: %s", resp.Status, text)
	}
}

// tell has the application know news, and returns what is to be published of it.
func (n *newsroom) tell(t testing.TB, text string) map[string]any {
	t.Helper()
	resp, err := http.Get(n.gate.url + "/tell?t=" + text)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	number, bad := strconv.Atoi(strings.TrimSpace(string(answer)))
	if err != nil || bad != nil || number != n.told+1 {
		t.Fatalf("%s %q, %v", resp.Status, answer, err)
	}
	n.told = number
	return map[string]any{
		"channel": "news", "id": strconv.Itoa(number), "prev-id": strconv.Itoa(number - 1),
		"formats": map[string]any{
			"http-response": map[string]any{"body": fmt.Sprintf("%d %s\n", number, text)},
			"http-stream":   map[string]any{"content": fmt.Sprintf("id: %d\ndata: %s\n\n", number, text)},
		},
	}
}

// page asks for a page that must be there, and returns how long that took.
func (n *newsroom) page(t testing.TB) time.Duration {
	t.Helper()
	asked := time.Now()
	resp, err := http.Get(n.gate.url + "/page?ms=5")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("a page: %s", resp.Status)
	}
	return time.Since(asked)
}

// held is what the gate tells of held clients.
func (n *newsroom) held(t testing.TB) (state struct {
	Clients    int               `json:"clients"`
	Recovering int               `json:"recovering"`
	Waiting    int               `json:"waiting"`
	Delivered  uint64            `json:"delivered"`
	Gone       goneState         `json:"gone"`
	Ended      map[string]uint64 `json:"ended"`
},
) {
	t.Helper()
	resp, err := http.Get(n.gate.status + "/status.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var all struct {
		Hold any `json:"hold"`
	}
	all.Hold = &state
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil {
		t.Fatal(err)
	}
	return state
}

// goneState is what a gate tells of clients that are gone.
type goneState struct {
	Told    int `json:"told"`
	Failed  int `json:"failed"`
	Dropped int `json:"dropped"`
	Active  int `json:"active"`
	Waiting int `json:"waiting"`
}

func (n *newsroom) wantHeld(t testing.TB, clients int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d clients are held", clients), func() error {
		if got := n.held(t).Clients; got != clients {
			return fmt.Errorf("%d are", got)
		}
		return nil
	})
}

// cpuOf is the processor time of a process.
func cpuOf(t testing.TB, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// crowdOfHeld is how many clients are held.
func crowdOfHeld() int {
	if soaking() {
		return 10_000
	}
	return 400
}

// An application with 16 threads has thousands of long-polls. Each costs little memory, all have an
// answer soon after it was published, and each has all of the news, none of it twice.
func TestHeldPolls(t *testing.T) {
	checkLeaks(t)
	n, clients := startNewsroom(t), crowdOfHeld()
	host := strings.TrimPrefix(n.gate.url, "http://")
	publish(t, n.gate.status, n.tell(t, "begin"))
	conns := make([]net.Conn, clients)
	for i := range conns {
		c, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		defer c.Close()
		conns[i] = c
	}
	for i := range 50 {
		_, _ = fmt.Fprintf(conns[i], "GET /news?after=0 HTTP/1.1\r\nHost: %s\r\n"+pollHeader+"\r\n", host)
		if _, body, err := readAnswerOf(conns[i]); err != nil || body != "1 begin\n" {
			t.Fatalf("%q, %v", body, err)
		}
	}
	poll := func(c net.Conn) {
		if _, err := fmt.Fprintf(c, "GET /news?after=1 HTTP/1.1\r\nHost: %s\r\n"+pollHeader+"\r\n", host); err != nil {
			t.Fatal(err)
		}
	}
	poll(conns[0])
	n.wantHeld(t, 1)                    // from now on the gate knows what may come
	time.Sleep(lasting(0, time.Second)) // the gate has come to rest
	before, cpu := memoryOf(t, n.gate.Process.Pid), cpuOf(t, n.app.Process.Pid)
	begun := time.Now()
	for _, c := range conns[1:] {
		poll(c)
	}
	n.wantHeld(t, clients)
	asked := time.Since(begun)
	t.Logf("%d clients are held after %v; the application took %v of a processor", clients, asked.Round(time.Millisecond), cpuOf(t, n.app.Process.Pid)-cpu)
	time.Sleep(lasting(0, 2*time.Second)) // the gate has come to rest
	held := memoryOf(t, n.gate.Process.Pid)
	t.Logf("each takes %.2f KiB of the gate (RSS; PSS %.2f)", float64(held.rss-before.rss)/float64(clients), float64(held.pss-before.pss)/float64(clients))

	cpu = cpuOf(t, n.app.Process.Pid)
	item := n.tell(t, "new")
	var reading sync.WaitGroup
	deadline := time.Now().Add(patience)
	for i, c := range conns {
		reading.Go(func() {
			_ = c.SetReadDeadline(deadline)
			from := bufio.NewReaderSize(c, 512)
			resp, err := http.ReadResponse(from, nil)
			if err != nil {
				t.Errorf("poll %d: %v", i, err)
				return
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil || string(body) != "2 new\n" {
				t.Errorf("poll %d: %q, %v", i, body, err)
			}
		})
	}
	published := time.Now()
	publish(t, n.gate.status, item)
	answered := time.Since(published)
	reading.Wait()
	took := time.Since(published)
	t.Logf("published in %v; the last client had it after %v; the application took %v of a processor", answered.Round(time.Millisecond), took.Round(time.Millisecond), cpuOf(t, n.app.Process.Pid)-cpu)
	if state := n.held(t); state.Delivered != uint64(clients) || state.Clients != 0 || state.Ended["answered"] != uint64(clients) {
		t.Errorf("%+v", state)
	}
	if soaking() && took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// follower is an EventSource: it has a stream, and comes back with the last id when that ends.
type follower struct {
	host string
	last int // id
	lost int // connections that were refused or cut, and taken up again
	err  error
}

// retry is how long an EventSource waits before it comes back after an error.
const retry = 200 * time.Millisecond

// follow reads a stream until it ends, or the id until.
func (f *follower) follow(until int) (over bool) {
	c, err := net.Dial("tcp", f.host)
	if err != nil {
		f.err = err
		return true
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * patience))
	fmt.Fprintf(c, "GET /flow?after=0 HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\nLast-Event-ID: %d\r\n\r\n", f.host, f.last)
	resp, err := http.ReadResponse(bufio.NewReaderSize(c, 512), nil)
	if err != nil { // there were no connections left, or the gate has closed it for another
		f.lost++
		time.Sleep(retry)
		return f.lost > 100
	}
	if resp.StatusCode != http.StatusOK {
		f.err = fmt.Errorf("%s", resp.Status)
		return true
	}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		number, is := strings.CutPrefix(lines.Text(), "id: ")
		if !is {
			continue
		}
		id, err := strconv.Atoi(number)
		if err != nil || id != f.last+1 {
			f.err = fmt.Errorf("after %d comes %q", f.last, lines.Text())
			return true
		}
		if f.last = id; id == until {
			return true
		}
	}
	return false
}

// Event streams of thousands of clients are ended, and all come back at once. Each has all of the news,
// in order, none of it twice; pages do not notice.
func TestHeldStreamsComeBack(t *testing.T) {
	checkLeaks(t)
	n, clients := startNewsroom(t), crowdOfHeld()
	followers := make([]*follower, clients)
	const lastNews = 6
	var following sync.WaitGroup
	for i := range followers {
		f := &follower{host: strings.TrimPrefix(n.gate.url, "http://")}
		followers[i] = f
		following.Go(func() {
			for !f.follow(lastNews) {
			}
			if f.err != nil {
				t.Errorf("client %d, after %d: %v", i, f.last, f.err)
			}
		})
	}
	n.wantHeld(t, clients)
	for i := range 2 {
		publish(t, n.gate.status, n.tell(t, fmt.Sprint("first", i)))
	}
	cpu := cpuOf(t, n.app.Process.Pid)
	begun := time.Now()
	publish(t, n.gate.status, map[string]any{"channel": "news", "http-stream": map[string]any{"action": "close"}})
	var slowest time.Duration
	for i := range 2 { // while they come back
		publish(t, n.gate.status, n.tell(t, fmt.Sprint("meanwhile", i)))
		slowest = max(slowest, n.page(t))
	}
	n.wantHeld(t, clients)
	t.Logf("%d clients came back within %v; the application took %v of a processor; the slowest page meanwhile took %v",
		clients, time.Since(begun).Round(time.Millisecond), cpuOf(t, n.app.Process.Pid)-cpu, slowest.Round(time.Millisecond))
	for i := range 2 { // a missed item: all have to be asked for again
		item := n.tell(t, fmt.Sprint("late", i))
		if i == 1 {
			begun, cpu = time.Now(), cpuOf(t, n.app.Process.Pid)
			publish(t, n.gate.status, item)
		}
	}
	following.Wait()
	t.Logf("after a missed item all had been asked for again, and had everything, after %v; the application took %v of a processor",
		time.Since(begun).Round(time.Millisecond), cpuOf(t, n.app.Process.Pid)-cpu)
	for i, f := range followers {
		if f.err != nil || f.last != lastNews {
			t.Fatalf("client %d: %v, has %d of %d", i, f.err, f.last, lastNews)
		}
	}
	n.wantHeld(t, 0)
}

// Thousands leave at once, as when a network breaks. The application is told of each, two at a time, and
// pages do not notice.
func TestHeldAllGone(t *testing.T) {
	checkLeaks(t)
	n, clients := startNewsroom(t), crowdOfHeld()
	host := strings.TrimPrefix(n.gate.url, "http://")
	conns := make([]net.Conn, clients)
	for i := range conns {
		c, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET /flow?after=0&gone=1 HTTP/1.1\r\nHost: %s\r\n\r\n", host)
		conns[i] = c
	}
	n.wantHeld(t, clients)
	pages := func() (slowest time.Duration) {
		for range 20 {
			slowest = max(slowest, n.page(t))
		}
		return slowest
	}
	before, cpu, begun := pages(), cpuOf(t, n.app.Process.Pid), time.Now()
	for _, c := range conns {
		_ = c.Close()
	}
	meanwhile, most := pages(), 0
	for told := 0; told < clients; {
		eventually(t, fmt.Sprintf("more than %d were told of", told), func() error {
			state := n.held(t).Gone
			if most = max(most, state.Active); state.Told == told {
				return fmt.Errorf("%+v", state)
			}
			told = state.Told
			return nil
		})
	}
	t.Logf("%d clients were told to be gone within %v, %d at a time; the application took %v of a processor; the slowest of 20 pages took %v before, %v meanwhile",
		clients, time.Since(begun).Round(time.Millisecond), most, cpuOf(t, n.app.Process.Pid)-cpu, before.Round(time.Millisecond), meanwhile.Round(time.Millisecond))
	eventually(t, "nobody is being told of", func() error { // who has told of the last is at work for a moment longer
		state := n.held(t).Gone
		if most = max(most, state.Active); state.Active > 0 {
			return fmt.Errorf("%+v", state)
		}
		return nil
	})
	if state := n.held(t).Gone; state != (goneState{Told: clients}) || most > 2 {
		t.Errorf("%+v, %d at a time", state, most)
	}
	resp, err := http.Get(n.gate.url + "/left")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || string(text) != fmt.Sprintf("%d ['0']\n", clients) {
		t.Errorf("the application says %q, %v", text, err)
	}
}

// gripLibrary is where setup.sh has put @fanoutio/grip.
const gripLibrary = "/usr/local/share/sluice-test/grip"

// startGripApp starts an application that has its clients held by an existing library, and its gate.
func startGripApp(t *testing.T, args ...string) *newsroom {
	t.Helper()
	if _, err := os.Stat(gripLibrary + "/node_modules/@fanoutio/grip"); err != nil {
		missing(t, "@fanoutio/grip")
	}
	addr := freeAddress(t)
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	app := exec.Command(need(t, "node", "nodejs"), testdata(t, "grip.mjs"), gripLibrary, holdKey)
	app.Env = append(os.Environ(), "PORT="+port)
	n := &newsroom{app: start(t, app), direct: "http://" + addr}
	awaitAddress(t, n.app, "tcp", addr)
	n.gate = watched(t, startSluice(t, append([]string{"--backend", "http://" + addr, "--workers", "4", "--hold", holdKeyFile(t)}, args...)...))
	return n
}

// An application that has its clients held by an existing library, unchanged: it finds the requests
// signed, and publishes with the key, or with a token that is signed with it.
func TestHeldByLibrary(t *testing.T) {
	checkLeaks(t)
	n := startGripApp(t)
	gate := n.gate
	for i, to := range []string{gate.status + "/?key=" + holdKey, gate.status + "/?iss=app&key=" + holdKey} {
		text := fmt.Sprint("news", i)
		poll, err := http.Get(gate.url + "/stream?c=lib")
		if err != nil {
			t.Fatal(err)
		}
		defer poll.Body.Close()
		var waiting sync.WaitGroup
		waiting.Go(func() {
			resp, err := http.Get(gate.url + "/wait?c=lib")
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); err != nil || string(body) != text {
				t.Errorf("%s %q, %v", resp.Status, body, err)
			}
		})
		n.wantHeld(t, i+2)
		resp, err := http.Get(gate.url + "/publish?c=lib&t=" + text + "&to=" + url.QueryEscape(to))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(body) != "published\n" {
			t.Fatalf("%s %q, %v", resp.Status, body, err)
		}
		waiting.Wait()
		got := make([]byte, len("begin\n"+text))
		if _, err := io.ReadFull(poll.Body, got); err != nil || string(got) != "begin\n"+text {
			t.Errorf("the stream: %q, %v", got, err)
		}
	}
}

// An application knows who is there: it is told who is gone, by their own log-in, in a drain as well.
func TestHeldGone(t *testing.T) {
	checkLeaks(t)
	users := filepath.Join(t.TempDir(), "users")
	run(t, exec.Command(need(t, "htpasswd"), "-cbB", users, "ann", "secret"))
	n := startGripApp(t, "--auth-file", users)
	get := func(path string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.gate.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("ann", "secret")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status)
		}
		return resp
	}
	here := func(want string) {
		t.Helper()
		eventually(t, "there are "+want, func() error {
			resp, err := http.Get(n.direct + "/who")
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if who, err := io.ReadAll(resp.Body); err != nil || strings.TrimSpace(string(who)) != want {
				return fmt.Errorf("%q, %v", who, err)
			}
			return nil
		})
	}
	streams := make(map[string]*http.Response)
	for _, id := range []string{"1", "2", "3"} {
		streams[id] = get("/here?id=" + id)
		defer streams[id].Body.Close()
	}
	here("1 2 3")
	streams["2"].Body.Close()
	here("1 3")
	if err := n.gate.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := n.gate.wait(t); err != nil {
		t.Error(err)
	}
	here("")
}
