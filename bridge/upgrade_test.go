package bridge

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// echoes plays an application that goes on with another protocol, in which it sends back what
// it gets, until it gets "bye".
func echoes(s *fcgitest.Session) {
	in := bufio.NewReader(s)
	r, err := http.ReadRequest(in)
	if err != nil || r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Connection") != "Upgrade" {
		_, _ = io.WriteString(s, "HTTP/1.1 400 No\r\nContent-Length: 2\r\n\r\nno")
		return
	}
	_, _ = io.WriteString(s, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\nhello ")
	for {
		line, err := in.ReadString('\n')
		if err != nil || line == "bye\n" {
			return
		}
		if _, err := io.WriteString(s, line); err != nil {
			return
		}
	}
}

// upgrade asks for another protocol, and returns the connection and what reads from it after
// the header.
func (r *rig) upgrade(fields string) (net.Conn, *bufio.Reader, *http.Response) {
	r.t.Helper()
	c, err := r.front.Dial(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: app.test\r\n%s\r\n", fields)
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return c, in, resp
}

const asksForWebSocket = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: y\r\n"

func (r *rig) wantLine(in *bufio.Reader, want string) {
	r.t.Helper()
	if line, err := in.ReadString('\n'); line != want || err != nil {
		r.t.Errorf("%q, %v, want %q", line, err, want)
	}
}

// An upgraded connection carries bytes both ways until either side ends it, holds a worker
// meanwhile, and is in the outcome.
func TestUpgrade(t *testing.T) {
	for name, end := range map[string]func(*rig, net.Conn){
		"by the client":      func(_ *rig, c net.Conn) { c.Close() },
		"by the application": func(_ *rig, c net.Conn) { _, _ = io.WriteString(c, "bye\n") },
		"by a drain":         func(r *rig, _ net.Conn) { r.b.Refuse() },
		"by silence":         func(*rig, net.Conn) { time.Sleep(10*time.Minute + time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newHTTPRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 4, Lanes: On}}, echoes)
				c, in, resp := r.upgrade(asksForWebSocket)
				if resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "websocket" || resp.Header.Get("Connection") != "Upgrade" || resp.Header.Get("Sec-Websocket-Accept") != "x" {
					t.Fatalf("%+v", resp)
				}
				_, _ = io.WriteString(c, "a\n")
				r.wantLine(in, "hello a\n")
				for range 3 { // longer than the limit together
					time.Sleep(9 * time.Minute)
					_, _ = io.WriteString(c, "b\n")
					r.wantLine(in, "b\n")
				}
				if g := r.b.Snapshot().Gate; g.Long != 1 || g.InUse != 1 {
					t.Errorf("%d long of %d in use", g.Long, g.InUse)
				}
				end(r, c)
				if rest, err := io.ReadAll(in); name != "by the client" && (len(rest) > 0 || err != nil) {
					t.Errorf("%q, %v", rest, err)
				}
				if o := r.outcome(); o.Status != 101 || o.BytesOut != int64(len("hello a\nb\nb\nb\n")) || o.BytesIn < int64(len("a\nb\nb\nb\n")) || o.Err != nil || o.Aborted {
					t.Errorf("outcome %+v", o)
				}
				if g := r.b.Snapshot().Gate; g.InUse != 0 {
					t.Errorf("%d in use after the end", g.InUse)
				}
				r.wantKept(0)
			})
		})
	}
}

// A client that is refused another protocol gets the answer, and its connection goes on. Only
// WebSocket is passed on.
func TestUpgradeRefused(t *testing.T) {
	for name, fields := range map[string]string{
		"by the application": asksForWebSocket,
		"another protocol":   "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n",
		"with a body":        "Content-Length: 1\r\n" + asksForWebSocket,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var sent http.Header
				r := newHTTPRig(t, Config{}, httpAnswers(func(r *http.Request, _ string) []string {
					sent = r.Header
					return []string{sized("no")}
				}))
				c, err := r.front.Dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				in := bufio.NewReader(c)
				for range 2 {
					fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: app.test\r\n%s\r\n%s", fields, strings.Repeat("x", strings.Count(fields, "Content-Length")))
					resp, err := http.ReadResponse(in, nil)
					if err != nil {
						t.Fatal(err)
					}
					if body, err := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(body) != "no" || err != nil {
						t.Errorf("%d %q, %v", resp.StatusCode, body, err)
					}
				}
				if asks := sent.Get("Upgrade") != ""; asks != (name == "by the application") {
					t.Errorf("the application was sent %v", sent)
				}
			})
		})
	}
}

// An application that leaves without a word ends the connection, and no other request gets it.
func TestUpgradeReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHTTPRig(t, Config{}, func(s *fcgitest.Session) {
			if _, err := http.ReadRequest(bufio.NewReader(s)); err == nil {
				_, _ = io.WriteString(s, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nab")
				time.Sleep(time.Second)
				_ = s.Conn.(*fcgitest.Conn).Reset()
			}
		})
		_, in, _ := r.upgrade(asksForWebSocket)
		if rest, _ := io.ReadAll(in); string(rest) != "ab" {
			t.Errorf("%q", rest)
		}
		if o := r.outcome(); o.Status != 101 || o.Err == nil {
			t.Errorf("outcome %+v", o)
		}
	})
}

// What an application says before it closes an upgraded connection is the client's, even if that is slow and
// goes on sending.
func TestUpgradeEndIsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := strings.Repeat("x", 300<<10) // more than there is room for on the way to the client
		r := newHTTPRig(t, Config{}, func(s *fcgitest.Session) {
			if _, err := http.ReadRequest(bufio.NewReader(s)); err == nil {
				_, _ = io.WriteString(s, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"+said)
			}
		})
		c, in, _ := r.upgrade(asksForWebSocket)
		for range 3 {
			time.Sleep(time.Second)
			_, _ = io.WriteString(c, "more")
		}
		time.Sleep(time.Second)
		if rest, err := io.ReadAll(in); string(rest) != said || err != nil {
			t.Errorf("%d bytes, %v, want %d", len(rest), err, len(said))
		}
		if o := r.outcome(); o.Status != 101 || o.Aborted {
			t.Errorf("outcome %+v", o)
		}
		r.wantKept(0)
	})
}

// A client that leaves an application which takes nothing any more ends the connection.
func TestUpgradeDeafApplication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHTTPRig(t, Config{}, func(s *fcgitest.Session) {
			if _, err := http.ReadRequest(bufio.NewReader(s)); err == nil {
				_, _ = io.WriteString(s, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nhello\n")
				s.Conn.(*fcgitest.Conn).CloseRead()
				s.HoldFor(5 * time.Minute)
			}
		})
		c, in, _ := r.upgrade(asksForWebSocket)
		r.wantLine(in, "hello\n")
		for range 3 {
			time.Sleep(time.Second)
			_, _ = io.WriteString(c, "more")
		}
		c.Close()
		synctest.Wait()
		if o := r.outcome(); o.Status != 101 || o.Err != nil || r.b.Snapshot().Gate.InUse != 0 {
			t.Errorf("outcome %+v", o)
		}
	})
}

// socketsAndPolls plays an application that goes on with another protocol at /ws, and else takes
// ten seconds to answer.
func socketsAndPolls(s *fcgitest.Session) {
	in := bufio.NewReader(s)
	r, err := http.ReadRequest(in)
	switch {
	case err != nil:
	case r.URL.Path == "/ws":
		_, _ = io.WriteString(s, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		_, _ = io.Copy(io.Discard, in)
	default:
		time.Sleep(10 * time.Second)
		_, _ = io.WriteString(s, "HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\npoll")
	}
}

// Upgraded connections have a limit of their own. Beyond it a client is told when to come back,
// long-polls have what is left to them, and a connection that ends makes room for another.
func TestUpgradeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHTTPRig(t, Config{
			ApplicationConfig: ApplicationConfig{Workers: 8, Lanes: On, MaxUpgraded: 2},
			SiteConfig:        SiteConfig{LongPoll: []string{"/poll"}},
		}, socketsAndPolls)
		time.Sleep(time.Minute)
		first, _, _ := r.upgrade(asksForWebSocket)
		second, _, _ := r.upgrade(asksForWebSocket)
		c, in, resp := r.upgrade(asksForWebSocket + "Accept: application/json\r\n")
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || !strings.Contains(string(body), `"reason":"upgrades"`) || !strings.Contains(resp.Header.Get("Proxy-Status"), errLimit) {
			t.Errorf("%v %v %q", resp.StatusCode, resp.Header, body)
		}
		if o := r.outcome(); o.Refused != "upgrades" || o.Lane != "long" || o.Attempts != 0 {
			t.Errorf("outcome %+v", o)
		}
		var polls []func() reply
		for range 4 {
			polls = append(polls, r.start("GET", "/poll", nil))
			time.Sleep(time.Second)
		}
		if g := r.gate(); g.Upgraded != 2 || g.MaxUpgraded != 2 || g.Long != 6 || g.Waiting != 0 || g.Lanes["long"].Refused["upgrades"] != 1 {
			t.Errorf("%+v", g)
		}
		for _, poll := range polls {
			if re := poll(); re.status != 200 || re.body != "poll" {
				t.Errorf("%+v", re)
			}
		}
		first.Close()
		synctest.Wait()
		fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: app.test\r\n%s\r\n", asksForWebSocket) // the same connection as before
		if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != 101 {
			t.Errorf("%+v, %v", resp, err)
		}
		second.Close()
		c.Close()
		if g := r.gate(); g.Upgraded != 0 || g.InUse != 0 {
			t.Errorf("%+v", g)
		}
	})
}
