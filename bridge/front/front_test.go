//go:build linux

package front_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/front"
)

func dial(t testing.TB, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return c.(*net.TCPConn)
}

func get(t testing.TB, c net.Conn, path string) (*http.Response, []byte) {
	t.Helper()
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

// A client that leaves while it waits is noticed at once: the application is told, and what the
// request held is free.
func TestClientLeaves(t *testing.T) {
	r := newRig(t, func(c *bridge.Config) { c.Workers = 4 }, nil)
	for _, how := range []string{"closes", "resets"} {
		t.Run(how, func(t *testing.T) {
			var clients []*net.TCPConn
			for range 40 { // most of them wait in the gate
				c := dial(t, r.loop)
				_, _ = io.WriteString(c, "GET /poll HTTP/1.1\r\nHost: a\r\n\r\n")
				clients = append(clients, c)
			}
			eventually(t, "all polls are in the gate", func() error {
				if s := r.handler.Snapshot().Gate; s.InUse+s.Waiting != 40 {
					return fmt.Errorf("%d in use, %d waiting", s.InUse, s.Waiting)
				}
				return nil
			})
			time.Sleep(50 * time.Millisecond) // they have given back their memory by now
			for _, c := range clients {
				if how == "resets" {
					_ = c.SetLinger(0)
				}
				_ = c.Close()
			}
			r.wantIdle(t)
		})
	}
	if _, body := get(t, dial(t, r.loop), "/echo"); !strings.HasPrefix(string(body), "GET /echo a") {
		t.Errorf("afterwards: %q", body)
	}
}

// A request that waits for long is the same one when it goes on.
func TestLongWait(t *testing.T) {
	r := newRig(t, func(c *bridge.Config) { c.Workers, c.Lanes = 1, config.Off }, nil)
	poll := dial(t, r.loop)
	_, _ = io.WriteString(poll, "GET /poll HTTP/1.1\r\nHost: a\r\n\r\n")
	eventually(t, "the poll has the worker", func() error {
		if r.handler.Snapshot().Gate.InUse != 1 {
			return fmt.Errorf("it has not")
		}
		return nil
	})
	waiting := dial(t, r.loop)
	_, _ = io.WriteString(waiting, "POST /echo?later HTTP/1.1\r\nHost: a\r\nX-Field: kept\r\nContent-Length: 4\r\n\r\nbodyGET /echo?next HTTP/1.1\r\nHost: b\r\n\r\n")
	time.Sleep(100 * time.Millisecond)
	_ = poll.Close()
	answers := bufio.NewReader(waiting)
	for _, want := range []string{"POST /echo?later a \"kept\" 4 <nil> body\n", "GET /echo?next b \"\" 0 <nil> \n"} {
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != want {
			t.Errorf("got %q, %v, want %q", body, err, want)
		}
	}
}

// What a request has become is told as well after a wait as without one: who has asked, how long it has
// waited, and in which lane.
func TestOutcomeAfterWait(t *testing.T) {
	r := newRig(t, func(c *bridge.Config) {
		c.Workers, c.LongPoll = 2, []string{"/poll", "/echo/*"}
		c.Identify = func(r *http.Request, who *cgi.Client) { who.User = r.Header.Get("X-Name") }
	}, nil)
	ask := func(target string) net.Conn {
		c := dial(t, r.loop)
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\nX-Name: ann\r\n\r\n", target)
		return c
	}
	answered := func(c net.Conn) bridge.Outcome {
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		r.wantIdle(t)
		all := r.outcomesOf(http.StatusOK)
		return all[len(all)-1]
	}
	without := answered(ask("/echo/1"))
	poll := ask("/poll")
	eventually(t, "the poll has the worker", func() error {
		if r.handler.Snapshot().Gate.InUse != 1 {
			return fmt.Errorf("it has not")
		}
		return nil
	})
	after := ask("/echo/2")
	time.Sleep(500 * time.Millisecond)
	_ = poll.Close()
	with := answered(after)
	if without.Queued > 250*time.Millisecond || with.Queued < 450*time.Millisecond || with.GrantedAt.Sub(with.QueuedAt) != with.Queued-with.Leasing {
		t.Errorf("queued for %v (%v to %v, %v for a connection), without a wait for %v", with.Queued, with.QueuedAt, with.GrantedAt, with.Leasing, without.Queued)
	}
	for _, o := range []bridge.Outcome{without, with} {
		if o.Client != "127.0.0.1" || o.User != "ann" || o.ClientKey == 0 || o.ClientKey != without.ClientKey || !o.LongPoll || o.Lane != "long" || o.Attempts != 1 {
			t.Errorf("the outcome is %+v", o)
		}
	}
}

// A client that reads slowly gets every byte, and its connection serves the next request, while the
// application has long been free.
func TestSlowReader(t *testing.T) {
	const size = 8 << 20
	r := newRig(t, nil, nil)
	for _, length := range []string{"", "&length=1"} {
		c := dial(t, r.loop)
		_ = c.SetReadBuffer(16 << 10)
		fmt.Fprintf(c, "GET /bytes?n=%d%s HTTP/1.1\r\nHost: a\r\n\r\n", size, length)
		time.Sleep(300 * time.Millisecond)
		r.wantIdle(t)
		answers := bufio.NewReader(c)
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || !bytes.Equal(body, pattern(0, size)) {
			t.Errorf("got %d bytes, %v", len(body), err)
		}
		fmt.Fprint(c, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")
		if resp, err = http.ReadResponse(answers, nil); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("the next request: %v", err)
		}
	}
	if n := len(r.outcomesOf(200)); n != 4 {
		t.Errorf("%d outcomes, want 4", n)
	}
}

// A client that never stops, and takes its answer more slowly than the application gives it, holds up
// neither the application nor the others on a shared connection, and gets every byte.
func TestSteadyReader(t *testing.T) {
	const size, piece = 16 << 20, 64 << 10
	eachMultiplex(t, func(t *testing.T, multiplex config.Switch) {
		r := newRig(t, func(c *bridge.Config) { c.Multiplex = multiplex }, nil)
		c := r.dialUnix(t)
		fmt.Fprintf(c, "GET /bytes?n=%d&length=1 HTTP/1.1\r\nHost: a\r\n\r\n", size)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		for ; got.Len() < size*3/4 && err == nil && (got.Len() < size/4 || r.handler.Snapshot().Gate.InUse > 0); time.Sleep(6 * time.Millisecond) {
			_, err = io.CopyN(&got, resp.Body, piece)
		}
		if in := r.handler.Snapshot().Gate.InUse; in > 0 {
			t.Errorf("after %d bytes the application still has the request", got.Len())
		}
		if _, err := io.Copy(&got, resp.Body); err != nil || !bytes.Equal(got.Bytes(), pattern(0, size)) {
			t.Errorf("got %d bytes, %v", got.Len(), err)
		}
	})
}

// dialUnix returns a connection to the loops on a unix socket, which holds little.
func (r *rig) dialUnix(t *testing.T) net.Conn {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "front.sock"))
	if err != nil {
		t.Fatal(err)
	}
	accepting, err := front.Listen(l)
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() { _ = r.loops.Serve(accepting) })
	t.Cleanup(served.Wait)
	t.Cleanup(func() { _ = accepting.Close() })
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return c
}

func (r *rig) outcomesOf(status int) (list []bridge.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.outcomes {
		if o.Status == status {
			list = append(list, o)
		}
	}
	return list
}

// Clients of all kinds at once: each gets its own answer, whole, and nothing is left behind. Some of
// them leave at any time.
func TestCrowd(t *testing.T) {
	eachMultiplex(t, func(t *testing.T, multiplex config.Switch) {
		r := newRig(t, func(c *bridge.Config) { c.Workers, c.Multiplex = 6, multiplex }, nil)
		var crowd sync.WaitGroup
		for i := range 40 {
			crowd.Go(func() {
				dice := rand.New(rand.NewPCG(1, uint64(i)))
				for range 6 {
					r.visit(t, dice)
				}
			})
		}
		crowd.Wait()
		r.wantIdle(t)
	})
}

// eachMultiplex runs test where each request has a connection of its own, and where they share one,
// which a loop drives.
func eachMultiplex(t *testing.T, test func(t *testing.T, multiplex config.Switch)) {
	for _, multiplex := range []config.Switch{config.Off, config.On} {
		t.Run(fmt.Sprint("multiplex=", multiplex), func(t *testing.T) { test(t, multiplex) })
	}
}

// visit makes some requests on a connection.
func (r *rig) visit(t *testing.T, dice *rand.Rand) {
	c, err := net.Dial("tcp", r.loop)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	answers := bufio.NewReader(c)
	for range dice.IntN(6) {
		token := fmt.Sprint(dice.Uint64())
		n := dice.IntN(200_000)
		want := fmt.Sprintf("GET /echo?%s a \"\" 0 <nil> \n", token)
		switch dice.IntN(6) {
		case 0:
			fmt.Fprintf(c, "GET /bytes?n=%d HTTP/1.1\r\nHost: a\r\n\r\n", n)
			want = string(pattern(0, n))
		case 1:
			body := strings.Repeat("x", dice.IntN(9000))
			fmt.Fprintf(c, "POST /echo?%s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", token, len(body), body)
			want = fmt.Sprintf("POST /echo?%s a \"\" %d <nil> %s\n", token, len(body), body[:min(len(body), 20)])
		case 2:
			fmt.Fprintf(c, "GET /poll HTTP/1.1\r\nHost: a\r\n\r\n")
			time.Sleep(time.Duration(dice.IntN(60)) * time.Millisecond)
			return
		default:
			fmt.Fprintf(c, "GET /echo?%s HTTP/1.1\r\nHost: a\r\n\r\n", token)
		}
		if dice.IntN(8) == 0 {
			return
		}
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Errorf("no answer: %v", err)
			return
		}
		body, err := io.ReadAll(resp.Body)
		if resp.StatusCode == http.StatusServiceUnavailable {
			continue // the gate has refused it
		}
		if err != nil || string(body) != want {
			t.Errorf("got %d, %d bytes, %v, want %.60q", resp.StatusCode, len(body), err, want)
			return
		}
	}
}

// Close ends what is there, whatever it waits for.
func TestCloseWhileBusy(t *testing.T) {
	eachMultiplex(t, func(t *testing.T, multiplex config.Switch) {
		r := newRig(t, func(c *bridge.Config) { c.Workers, c.Multiplex = 2, multiplex }, nil)
		var clients []net.Conn
		for i := range 20 {
			c := dial(t, r.loop)
			path := []string{"/poll", "/slow", "/bytes?n=30000000"}[i%3]
			fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path)
			clients = append(clients, c)
		}
		time.Sleep(300 * time.Millisecond) // some go on in goroutines
		began := time.Now()
		if err := r.loops.Close(); err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d > 10*time.Second {
			t.Errorf("Close has waited for the clients: %v", d)
		}
		r.wantIdle(t)
		for _, c := range clients {
			if _, err := io.Copy(io.Discard, c); err != nil && !strings.Contains(err.Error(), "reset") {
				t.Errorf("the connection has not ended: %v", err)
			}
		}
		late := dial(t, r.loop)
		_ = late.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.Copy(io.Discard, late); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("a connection that came after Close: %v", err)
		}
	})
}

// Headers and pauses between requests take only so long.
func TestTimeouts(t *testing.T) {
	r := newRig(t, nil, func(c *front.Config) {
		c.HeaderTimeout, c.IdleTimeout = 150*time.Millisecond, 300*time.Millisecond
	})
	for text, least := range map[string]time.Duration{
		"":                                      150 * time.Millisecond,
		"GET /echo HTTP/1.1\r\nHo":              150 * time.Millisecond,
		"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n": 300 * time.Millisecond,
		"GET /echo HTTP/1.1\r\nHost: a\r\n\r\nGET": 150 * time.Millisecond,
	} {
		began := time.Now()
		c := dial(t, r.loop)
		_, _ = io.WriteString(c, text)
		_, err := io.Copy(io.Discard, c)
		if d := time.Since(began); err != nil || d < least || d > least+5*time.Second {
			t.Errorf("%q: ended after %v, %v, want %v", text, d, err, least)
		}
	}
}

// What Config cannot be served is refused.
func TestNew(t *testing.T) {
	if _, err := front.New(front.Config{}); err == nil {
		t.Error("no sites, and no error")
	}
	cfg := bridge.Config{}
	cfg.Backends, cfg.Workers, cfg.Spool.Dir = []string{"unix:/nowhere"}, 1, t.TempDir()
	cfg.ErrorHandler = func(http.ResponseWriter, *http.Request, int, error) bool { return false }
	h, err := bridge.New(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if _, err := front.NewSite(h); err == nil || !strings.Contains(err.Error(), "ErrorHandler") {
		t.Errorf("with an ErrorHandler: %v", err)
	}
}

// The states of connections are those of net/http.
func TestTrack(t *testing.T) {
	var mu sync.Mutex
	var states []string
	r := newRig(t, nil, func(c *front.Config) {
		c.Track = func(_ net.Conn, s http.ConnState) {
			mu.Lock()
			defer mu.Unlock()
			states = append(states, s.String())
		}
	})
	c := dial(t, r.loop)
	get(t, c, "/echo")
	get(t, c, "/echo")
	_ = c.Close()
	want := []string{"active", "idle", "active", "idle", "closed"}
	eventually(t, "all states were told", func() error {
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(states, want) {
			return fmt.Errorf("got %v, want %v", states, want)
		}
		return nil
	})
}

// A client that takes a large answer as fast as it comes, or sends many requests at once, does not
// keep a loop from others.
func TestFair(t *testing.T) {
	r := newRig(t, nil, func(c *front.Config) { c.Loops = 1 })
	for name, text := range map[string]string{
		"a large answer": "GET /bytes?n=400000000&length=1 HTTP/1.1\r\nHost: a\r\n\r\n",
		"many requests":  strings.Repeat("PATCH /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 300_000),
	} {
		t.Run(name, func(t *testing.T) {
			greedy := dial(t, r.loop)
			var busy sync.WaitGroup
			busy.Go(func() { _, _ = io.WriteString(greedy, text) })
			busy.Go(func() { _, _ = io.Copy(io.Discard, greedy) })
			other := dial(t, r.loop)
			slowest, until := time.Duration(0), time.Now().Add(time.Second)
			for time.Now().Before(until) {
				began := time.Now()
				get(t, other, "/echo")
				slowest = max(slowest, time.Since(began))
			}
			_ = greedy.Close()
			busy.Wait()
			if slowest > 500*time.Millisecond {
				t.Errorf("another client has waited for %v", slowest)
			}
		})
	}
}

// A connection goes on after a file in answer to a request with a body, which is here whole.
func TestFileAfterABody(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte("file"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(c *bridge.Config) { c.Sendfile = []string{dir} }, nil)
	r.holds = func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		w.Header().Set("X-Sendfile", filepath.Join(dir, "a.txt"))
	}
	r.onBoth(t, func(t *testing.T, addr string) {
		c := dial(t, addr)
		from := bufio.NewReader(c)
		for range 2 {
			fmt.Fprint(c, "POST /held HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
			if resp, body := answerOf(t, from); body != "file" || resp.Close {
				t.Fatalf("%q, %v, closes: %t", body, resp.Header, resp.Close)
			}
		}
	})
}
