//go:build linux

package integration

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// upgrade has a front go on with an echo, and returns what reads from it after the header.
func upgrade(t *testing.T, url string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, "GET /ws HTTP/1.1\r\nHost: it\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst ")
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%+v, %v", resp, err)
	}
	return c, in
}

// A WebSocket goes through each front, in both directions and as much as there is, ends with
// the application, and with the front's drain.
func TestWebSocket(t *testing.T) {
	for name, front := range fronts {
		t.Run(name, func(t *testing.T) {
			checkLeaks(t)
			be := startNode(t, 8)
			url := front(t, be)
			if got := newSite(t, url).post(t, "/x?y", []byte("body")); got != "POST /x?y 4\n" {
				t.Errorf("%q", got)
			}
			c, in := upgrade(t, url)
			data := random(4 << 20)
			go func() { _, _ = c.Write(data) }()
			got := make([]byte, len("first ")+len(data))
			if _, err := io.ReadFull(in, got); err != nil || string(got) != "first "+string(data) {
				t.Fatalf("the echo differs, %v", err)
			}
			_ = syscall.Kill(-be.process.Process.Pid, syscall.SIGKILL)
			if rest, _ := io.ReadAll(in); len(rest) > 0 {
				t.Errorf("%d bytes more", len(rest))
			}
		})
	}
}

func TestWebSocketDrain(t *testing.T) {
	checkLeaks(t)
	s := startSluice(t, append(startNode(t, 8).args(), "--access-log", "-")...)
	_, in := upgrade(t, s.url)
	if got, err := in.ReadString(' '); got != "first " || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	began := time.Now()
	_ = syscall.Kill(s.Process.Pid, syscall.SIGTERM)
	if _, err := io.ReadAll(in); err != nil {
		t.Errorf("%v", err)
	}
	<-s.ended
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the drain took %v", took)
	}
	if log := s.output.String(); !strings.Contains(log, `"status":101,"bytes_out":6,`) || !strings.Contains(log, `"bytes_in":6,`) {
		t.Errorf("the access log has no upgrade with its bytes:\n%s", log)
	}
}

// As many WebSockets as may be, and clients that try for more, are beside long-polls and pages:
// the polls have the workers that are left to them, and the pages are answered at once.
func TestWebSocketLimit(t *testing.T) {
	t.Parallel()
	s := watched(t, startSluice(t, append(startNode(t, 16).args(), "--long-poll", "/poll")...))
	for range 4 { // a quarter of the workers
		_, in := upgrade(t, s.url)
		if got, err := in.ReadString(' '); got != "first " || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	}
	site, end := newSite(t, s.url), time.Now().Add(lasting(6*time.Second, time.Minute))
	var clients sync.WaitGroup
	var polls, pages, refused atomic.Int64
	repeat := func(n int, pause time.Duration, f func()) {
		for range n {
			clients.Go(func() {
				for time.Now().Before(end) {
					f()
					time.Sleep(pause)
				}
			})
		}
	}
	get := func(path string, count *atomic.Int64, limit time.Duration) {
		began := time.Now()
		resp, got, err := site.try(site.request(t, http.MethodGet, path, nil))
		if err != nil || resp.StatusCode != http.StatusOK || got != "GET "+path+" 0\n" || time.Since(began) > limit {
			t.Errorf("%s after %v: %v %q, %v", path, time.Since(began), resp, got, err)
		}
		count.Add(1)
	}
	repeat(8, 0, func() { get("/poll", &polls, patience) }) // with the WebSockets, 12 of 16 less the reserve
	repeat(2, 20*time.Millisecond, func() { get("/page", &pages, 3*time.Second) })
	repeat(2, 50*time.Millisecond, func() {
		r := site.request(t, http.MethodGet, "/ws", nil)
		r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
		resp, _, err := site.try(r)
		if err != nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
			t.Errorf("a fifth WebSocket: %+v, %v", resp, err)
		}
		refused.Add(1)
	})
	clients.Wait()
	state, err := s.ask()
	if g := state.Gate; err != nil || g.Upgraded != 4 || g.MaxUpgraded != 4 || g.Lanes["long"].Refused["upgrades"] != int(refused.Load()) {
		t.Errorf("%+v, %v", g, err)
	}
	if polls.Load() < 8 || pages.Load() < 8 || refused.Load() < 8 {
		t.Errorf("%d polls, %d pages, %d refused", polls.Load(), pages.Load(), refused.Load())
	}
	if log := s.output.String(); !strings.Contains(log, `msg="requests refused"`) || !strings.Contains(log, " upgrades=") {
		t.Errorf("the log does not say that requests were refused:\n%s", log)
	}
	t.Logf("%d polls and %d pages answered, %d WebSockets refused", polls.Load(), pages.Load(), refused.Load())
}

// awaitNoUpgrades waits until no connection is upgraded.
func (g *configured) awaitNoUpgrades(t testing.TB) {
	t.Helper()
	eventually(t, "no connection is upgraded", func() error {
		var state struct {
			Applications []struct{ Gate struct{ Upgraded int } }
		}
		if err := json.Unmarshal([]byte(g.status.get(t, "/status.json")), &state); err != nil {
			return err
		}
		for _, a := range state.Applications {
			if a.Gate.Upgraded > 0 {
				return fmt.Errorf("%d are", a.Gate.Upgraded)
			}
		}
		return nil
	})
}

// A WebSocket goes on over reloads as long as its site stays as it is, and does not hold up the end.
func TestWebSocketOverReloads(t *testing.T) {
	t.Parallel()
	node, n := startNode(t, 8).addr, 0
	text := func(of string) string {
		n++
		return fmt.Sprintf("[[application]]\nname = \"node\"\nbackends = [%q]\nworkers = 8\n[[site]]\nhosts = [\"it\"]\n%s[[site]]\nhosts = [\"other\"]\nmount = \"/%d\"\n", node, of, n)
	}
	g := startConfigured(t, "", text(""))
	c, in := upgrade(t, g.url)
	wantNext(t, in, "first ")
	for i := range 3 {
		g.configure(t, "", text(""))
		g.reloaded(t)
		fmt.Fprint(c, "and ")
		wantNext(t, in, "and ")
		if i == 1 {
			pause(t, 3*time.Second) // former sites are closed by then
		}
	}
	later, laterIn := upgrade(t, g.url)
	wantNext(t, laterIn, "first ")
	g.configure(t, "", text("max_body = \"1MiB\"\n"))
	g.reloaded(t)
	for _, in := range []io.Reader{in, laterIn} {
		if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil {
			t.Errorf("after the site has changed: %q, %v", rest, err)
		}
	}
	later.Close()
	g.awaitNoUpgrades(t) // a client sees the end before the gate has the place for another one

	_, in = upgrade(t, g.url)
	wantNext(t, in, "first ")
	g.configure(t, "", text("max_body = \"1MiB\"\n"))
	g.reloaded(t)
	begun := time.Now()
	g.signal(t, syscall.SIGTERM)
	if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil {
		t.Errorf("at the end: %q, %v", rest, err)
	}
	<-g.ended
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("the end took %v", took)
	}
}
