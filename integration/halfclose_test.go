//go:build linux

package integration

import (
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// nc closes its sending side when it has sent the request, and waits.
func TestNetcat(t *testing.T) {
	nc := need(t, "nc")
	be := startLibfcgi(t, 8)
	gate := startSluice(t, be.args()...)
	addr := strings.TrimPrefix(gate.url, "http://")
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, after := range []time.Duration{0, 50 * time.Millisecond, time.Second, 5 * time.Second} {
		for name, request := range map[string]string{
			"GET":      "GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
			"HTTP/1.0": "GET %s HTTP/1.0\r\n\r\n",
			"POST":     "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
		} {
			t.Run(fmt.Sprintf("%s %v", name, after), func(t *testing.T) {
				t.Parallel()
				g := newGate(t)
				cmd := exec.Command(nc, "-N", host, port)
				cmd.Stdin = strings.NewReader(fmt.Sprintf(request, "/wait?gate="+g.dir))
				time.AfterFunc(after, func() { _, _ = g.goes.Write(make([]byte, 4096)) }) // the answer says whether it went
				if got := run(t, cmd); !strings.Contains(got, " 200 OK\r\n") || !strings.HasSuffix(got, "\r\n\r\nwaited\n") && !strings.Contains(got, "waited\n") {
					t.Errorf("got %q", got)
				}
			})
		}
	}
	t.Run("at a unix socket", func(t *testing.T) {
		m := startMute(t, be, nil, nil)
		cmd := exec.Command(nc, "-N", "-U", m.listen)
		g := newGate(t)
		cmd.Stdin = strings.NewReader("GET /wait?gate=" + g.dir + " HTTP/1.0\r\n\r\n")
		time.AfterFunc(time.Second, func() { _, _ = g.goes.Write(make([]byte, 4096)) })
		if got := run(t, cmd); !strings.Contains(got, "waited\n") {
			t.Errorf("got %q", got)
		}
	})
}

// A client that closes its connection has left, whether it waits in the queue or the
// application is at work for it, and although that begins as if it closed one side only.
func TestClosedConnectionIsNoHalfClosedOne(t *testing.T) {
	for name, leave := range map[string]func(*net.TCPConn){
		"closes":      func(c *net.TCPConn) { _ = c.Close() },
		"one by one":  func(c *net.TCPConn) { _ = c.CloseWrite(); _ = c.Close() },
		"is reset":    func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() },
		"half closed": func(c *net.TCPConn) { _ = c.CloseWrite(); time.Sleep(time.Second); _ = c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gate := startSluice(t, startLibfcgi(t, 1).args()...)
			side, g := gate.side(t), newGate(t)
			request := "GET /wait?gate=" + g.dir + " HTTP/1.1\r\nHost: x\r\n\r\n"
			first, second := connect(t, goodFrom, gate.url), connect(t, floodFrom, gate.url)
			send(first, "%s", request)
			g.entered(t, 1)
			send(second, "%s", request)
			eventually(t, "the second waits", func() error {
				if s := readState(t, side); s.Gate.Waiting != 1 {
					return fmt.Errorf("%+v", s.Gate)
				}
				return nil
			})
			begun := time.Now()
			leave(second)
			leave(first)
			eventually(t, "both have left", func() error {
				if s := readState(t, side); s.Gate.Waiting != 0 || s.InFlight != 0 {
					return fmt.Errorf("%d wait, %d are in flight", s.Gate.Waiting, s.InFlight)
				}
				return nil
			})
			t.Logf("after %v", time.Since(begun))
			g.open(t)
			wantServed(t, clientAt(t, goodFrom, gate.url, false))
		})
	}
}

// Programs that are ended in the middle of a request leave as well: the queue is empty as
// soon as they are gone.
func TestEndedClients(t *testing.T) {
	for name, argv := range map[string][]string{
		"curl": {need(t, "timeout"), "0.1", need(t, "curl"), "-s"},
		"ab":   {need(t, "timeout"), "1", need(t, "ab"), "-q", "-n", "40", "-c", "20", "-s", "60"},
		"wrk":  {need(t, "timeout"), "1", need(t, "wrk"), "-t", "1", "-c", "20", "-d", "60"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gate := startSluice(t, startLibfcgi(t, 2).args()...)
			side, g := gate.side(t), newGate(t)
			cmd := exec.Command(argv[0], append(argv[1:], gate.url+"/wait?gate="+g.dir)...)
			_ = cmd.Run() // it is ended
			eventually(t, "they have left", func() error {
				s := readState(t, side)
				if s.Gate.Waiting != 0 || s.InFlight != 0 {
					return fmt.Errorf("%d wait, %d are in flight", s.Gate.Waiting, s.InFlight)
				}
				return nil
			})
			g.open(t)
			g.open(t) // for as many as there are workers
			wantServed(t, clientAt(t, goodFrom, gate.url, false))
		})
	}
}
