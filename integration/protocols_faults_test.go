//go:build linux

package integration

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// scripted is an SCGI server that plays a script on each connection, the last one on all
// further ones. It closes the connection afterwards.
type scripted struct {
	addr       string // as --backend takes it
	accepted   atomic.Int64
	open, most atomic.Int64 // connections at once
}

type script func(*scriptedConn)

type scriptedConn struct {
	net.Conn
	in *bufio.Reader
}

func startScripted(t testing.TB, network string, scripts ...script) *scripted {
	t.Helper()
	addr := "127.0.0.1:0"
	if network == "unix" {
		addr = filepath.Join(socketDir(t), "app.sock")
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &scripted{addr: "scgi://" + l.Addr().String()}
	if network == "unix" {
		s.addr = "scgi+unix:" + addr
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n := s.accepted.Add(1)
			open := s.open.Add(1)
			for most := s.most.Load(); open > most && !s.most.CompareAndSwap(most, open); most = s.most.Load() {
			}
			conns.Go(func() {
				scripts[min(int(n), len(scripts))-1](&scriptedConn{c, bufio.NewReader(c)})
				s.open.Add(-1) // whoever sees the end may come again
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		conns.Wait()
	})
	return s
}

// request reads a request, and its body.
func (c *scriptedConn) request() (vars map[string]string, body int64) {
	digits, _ := c.in.ReadString(':')
	size, _ := strconv.Atoi(strings.TrimSuffix(digits, ":"))
	header := make([]byte, size+1)
	if _, err := io.ReadFull(c.in, header); err != nil || header[size] != ',' {
		return nil, 0
	}
	vars = map[string]string{}
	fields := strings.Split(string(header), "\x00")
	for i := 0; i+1 < len(fields); i += 2 {
		vars[fields[i]] = fields[i+1]
	}
	length, _ := strconv.ParseInt(vars["CONTENT_LENGTH"], 10, 64)
	body, _ = io.CopyN(io.Discard, c.in, length)
	return vars, body
}

// reset has the connection be reset when it is closed.
func (c *scriptedConn) reset() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

// The scripts. A unix socket is reset if it is closed with something to be read.
var (
	unread    script = func(c *scriptedConn) { _, _ = c.Read(make([]byte, 1)) }
	readWhole script = func(c *scriptedConn) { c.request() }
	good      script = func(c *scriptedConn) {
		_, body := c.request()
		fmt.Fprintf(c, "Content-Type: text/plain\r\n\r\n%d bytes", body)
	}
	resetInAnswer script = func(c *scriptedConn) {
		c.request()
		fmt.Fprint(c, "Content-Type: text/plain\r\n\r\nhalf of")
		time.Sleep(50 * time.Millisecond) // it arrives before the reset does
		c.reset()
	}
	resetAfterLength script = func(c *scriptedConn) {
		c.request()
		fmt.Fprint(c, "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nwhole")
		time.Sleep(50 * time.Millisecond)
		c.reset()
	}
	closedInAnswer script = func(c *scriptedConn) {
		c.request()
		fmt.Fprint(c, "Content-Type: text/plain\r\nContent-Length: 100\r\n\r\nhalf of")
	}
)

// What becomes of requests whose connection ends before or in the middle of the answer.
func TestSingleFaults(t *testing.T) {
	for name, tc := range map[string]struct {
		method   string
		scripts  []script
		want     string // the page; "": 502; "cut": cut after its beginning
		accepted int64
		tcpOnly  bool
	}{
		"GET, closed unread":            {"GET", []script{unread, good}, "0 bytes", 2, false},
		"PUT, closed unread":            {"PUT", []script{unread, good}, "4 bytes", 2, false},
		"POST, closed unread":           {"POST", []script{unread, good}, "", 1, false},
		"GET, read and closed":          {"GET", []script{readWhole, good}, "", 1, false},
		"POST, read and closed":         {"POST", []script{readWhole, good}, "", 1, false},
		"reset in the answer":           {"GET", []script{resetInAnswer, good}, "cut", 1, true},
		"closed in an answer of length": {"GET", []script{closedInAnswer, good}, "cut", 1, false},
		"reset after all of its length": {"GET", []script{resetAfterLength, good}, "whole", 1, false},
		"closed after all of an answer": {"GET", []script{good}, "0 bytes", 1, false},
	} {
		for _, network := range []string{"unix", "tcp"} {
			if tc.tcpOnly && network != "tcp" {
				continue // a unix socket is not reset when all was read
			}
			t.Run(name+", "+network, func(t *testing.T) {
				checkLeaks(t)
				app := startScripted(t, network, tc.scripts...)
				url, _ := serveBridge(t, backend{addr: app.addr, workers: 2}.config())
				s := newSite(t, url)
				var body io.Reader
				if tc.method != http.MethodGet {
					body = strings.NewReader("body")
				}
				resp, got, err := s.try(s.request(t, tc.method, "/", body))
				switch tc.want {
				case "":
					if err != nil || resp.StatusCode != http.StatusBadGateway {
						t.Errorf("%v %q, %v, want 502", resp, got, err)
					}
				case "cut":
					if err == nil && resp.StatusCode != http.StatusBadGateway {
						t.Errorf("%s %q, which looks complete", resp.Status, got)
					}
				default:
					if err != nil || resp.StatusCode != http.StatusOK || got != tc.want {
						t.Errorf("%v %q, %v, want %q", resp, got, err, tc.want)
					}
				}
				if n := app.accepted.Load(); n != tc.accepted {
					t.Errorf("%d connections, want %d", n, tc.accepted)
				}
			})
		}
	}
}

// Under load there are never more connections than workers, and each request is answered.
func TestSingleBudget(t *testing.T) {
	checkLeaks(t)
	const workers, clients, each = 4, 32, 20
	app := startScripted(t, "unix", good)
	cfg := backend{addr: app.addr, workers: workers}.config()
	cfg.Lanes = config.Off
	url, b := serveBridge(t, cfg)
	s := newSite(t, url)
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range each {
				if resp, got, err := s.try(s.request(t, http.MethodPost, "/", strings.NewReader("body"))); err != nil || got != "4 bytes" {
					t.Errorf("%v %q, %v", resp, got, err)
				}
			}
		})
	}
	all.Wait()
	in := b.Snapshot().Pool.Instances[0]
	if most := app.most.Load(); most > workers || in.Dials != clients*each || in.Discarded != 0 {
		t.Errorf("%d connections at once, want %d at most; %+v", most, workers, in)
	}
}
