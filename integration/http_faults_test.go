//go:build linux

package integration

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
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

	"golang.org/x/sys/unix"

	"github.com/sluice-proxy/sluice/bridge/config"
)

func startNode(t testing.TB, workers int) backend {
	t.Helper()
	addr := freeAddress(t)
	p := start(t, exec.Command(need(t, "node", "nodejs"), testdata(t, "node.js"), addr))
	awaitAddress(t, p, "tcp", addr)
	return backend{addr: "http://" + addr, workers: workers, process: p, isHTTP: true}
}

// Unused connections are closed by gunicorn after 2 s: no request is lost because of that,
// whenever it comes.
func TestIdleConnectionsAreClosedInTime(t *testing.T) {
	checkLeaks(t)
	be := httpServers["gunicorn gthread"](t, 4)
	url, b := serveBridge(t, be.config())
	s := newSite(t, url)
	end := time.Now().Add(lasting(12*time.Second, 2*time.Minute))
	var clients sync.WaitGroup
	for client := range 4 {
		clients.Go(func() {
			dice := rand.New(rand.NewPCG(1, uint64(client)))
			for n := 0; time.Now().Before(end); n++ {
				time.Sleep(time.Duration(dice.Int64N(int64(2500 * time.Millisecond))))
				token := []byte(strconv.Itoa(n))
				if resp, got, err := s.try(s.request(t, http.MethodPost, "/echo", strings.NewReader(string(token)))); err != nil || got != string(token) {
					t.Errorf("%v %q, %v, want %q", resp, got, err, token)
				}
			}
		})
	}
	clients.Wait()
	in := b.Snapshot().Pool.Instances[0]
	if in.Reuses == 0 || in.ClosesIdle {
		t.Errorf("%+v: want some used again, and none found closed", in)
	}
	t.Logf("%+v", in.Counters)
}

// A server that is killed in the middle of an answer: the client sees it.
func TestHTTPServerDies(t *testing.T) {
	for _, name := range []string{"gunicorn gthread", "gunicorn sync", "waitress"} {
		t.Run(name, func(t *testing.T) {
			checkLeaks(t)
			be := httpServers[name](t, 2)
			url, _ := serveBridge(t, be.config())
			s := newSite(t, url)
			g := newGate(t)
			resp := s.open(t, t.Context(), "/stream?n=3&kind=plain&gate="+g.dir)
			defer resp.Body.Close()
			wantNext(t, resp.Body, "data: 0\n\n")
			_ = syscall.Kill(-be.process.Process.Pid, syscall.SIGKILL)
			if rest, err := io.ReadAll(resp.Body); err == nil {
				t.Errorf("an answer cut short ended cleanly after another %q", rest)
			}
			if resp, _ := s.do(t, s.request(t, http.MethodGet, "/hello", nil)); resp.StatusCode != http.StatusBadGateway {
				t.Errorf("afterwards: %s", resp.Status)
			}
		})
	}
}

// gunicorn that Sluice has started removes the file of its socket when it ends, unless it got the
// socket as under systemd: the next one is found in any case.
func TestSpawnedGunicornEnds(t *testing.T) {
	for name, flags := range map[string][]string{
		"activation": {"--"},
		"fd://0":     {"--command-socket", "stdin", "--"},
	} {
		t.Run(name, func(t *testing.T) {
			checkLeaks(t)
			args := append([]string{"--protocol", "http", "--workers", "4"}, flags...)
			args = append(args, need(t, "/usr/bin/gunicorn"), "--chdir", filepath.Dir(testdata(t, "routes.py")), "--threads", "4", "routes:application")
			if name == "fd://0" {
				args = append(args, "--bind", name)
			}
			endedIsFound(t, startSluice(t, args...))
		})
	}
}

func endedIsFound(t *testing.T, s sluice) {
	t.Helper()
	pid := regexp.MustCompile(`\[(\d+)\] \[INFO\] Starting gunicorn`)
	site := newSite(t, s.url)
	for nth := range 2 {
		if got := site.get(t, "/hello"); got != "hello\n" {
			t.Errorf("got %q", got)
		}
		var running [][]string
		eventually(t, "the log says which process it is", func() error { // it may come after the answer
			if running = pid.FindAllStringSubmatch(s.output.String(), -1); len(running) <= nth {
				return errNotYet
			}
			return nil
		})
		last, _ := strconv.Atoi(running[len(running)-1][1])
		if err := syscall.Kill(last, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it has ended", func() error {
			if syscall.Kill(last, 0) == nil {
				return errors.New("it is there")
			}
			return nil
		})
	}
	if got := site.get(t, "/hello"); got != "hello\n" {
		t.Errorf("got %q", got)
	}
}

// httpScripted serves connections of HTTP: each with the script of its number, or the last. most
// is how many there were at once, without those that the other side had closed already.
func httpScripted(t *testing.T, scripts ...func(net.Conn, *bufio.Reader)) (addr string, accepted, most *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted, most = new(atomic.Int64), new(atomic.Int64)
	var conns sync.WaitGroup
	var mu sync.Mutex
	open := make(map[net.Conn]bool)
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n := int(accepted.Add(1))
			mu.Lock()
			open[c] = true
			established := int64(0)
			for c := range open {
				if isEstablished(c) {
					established++
				}
			}
			mu.Unlock()
			most.Store(max(most.Load(), established)) // one goroutine accepts
			conns.Go(func() {
				scripts[min(n, len(scripts))-1](c, bufio.NewReader(c))
				mu.Lock()
				delete(open, c)
				mu.Unlock()
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		conns.Wait()
	})
	return "http://" + l.Addr().String(), accepted, most
}

// isEstablished reports whether neither side of a connection has closed it.
func isEstablished(c net.Conn) (established bool) {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return false
	}
	_ = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		established = err == nil && info.State == unix.BPF_TCP_ESTABLISHED
	})
	return established
}

// answerOne reads a request and answers it.
func answerOne(c net.Conn, in *bufio.Reader) bool {
	r, err := http.ReadRequest(in)
	if err != nil {
		return false
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false
	}
	_, err = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	return err == nil
}

// What comes on a connection while it is unused is no answer: neither a 408 nor a whole page.
func TestUnaskedAnswers(t *testing.T) {
	for _, says := range []string{"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged", "\r\n"} {
		checkLeaks(t)
		said := make(chan struct{})
		addr, accepted, _ := httpScripted(t, func(c net.Conn, in *bufio.Reader) {
			if answerOne(c, in) {
				time.Sleep(50 * time.Millisecond) // the answer is there, and the connection unused
				_, _ = io.WriteString(c, says)
				close(said)
				_, _ = in.ReadByte()
			}
		}, func(c net.Conn, in *bufio.Reader) { answerOne(c, in) })
		url, _ := serveBridge(t, backend{addr: addr, workers: 2}.config())
		s := newSite(t, url)
		for i := range 2 {
			if got := s.post(t, "/", []byte("body")); got != "body" {
				t.Errorf("%q: got %q", says, got)
			}
			if i == 0 {
				within(t, "what nobody has asked for", said)
			}
		}
		if n := accepted.Load(); n != 2 {
			t.Errorf("%q: %d connections, want 2", says, n)
		}
	}
}

// Under load there are never more connections than workers, and each request is answered once.
func TestHTTPBudget(t *testing.T) {
	checkLeaks(t)
	const workers, clients, each = 4, 32, 20
	addr, _, most := httpScripted(t, func(c net.Conn, in *bufio.Reader) {
		for n := rand.IntN(20); n >= 0 && answerOne(c, in); n-- {
			continue // then it closes the connection, without having said so
		}
	})
	cfg := backend{addr: addr, workers: workers}.config()
	cfg.Lanes = config.Off
	url, b := serveBridge(t, cfg)
	s := newSite(t, url)
	var all sync.WaitGroup
	for client := range clients {
		all.Go(func() {
			for i := range each {
				want := fmt.Sprint(client, i)
				if resp, got, err := s.try(s.request(t, http.MethodPut, "/", strings.NewReader(want))); err != nil || resp.StatusCode == 200 && got != want {
					t.Errorf("%v %q, %v, want %q", resp, got, err, want)
				}
			}
		})
	}
	all.Wait()
	in := b.Snapshot().Pool.Instances[0]
	if n := most.Load(); n > workers || in.Reuses == 0 {
		t.Errorf("%d connections at once, want %d at most; %+v", n, workers, in)
	}
}
