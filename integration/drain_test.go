//go:build linux

package integration

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// draining runs a gate in front of an application with room for two requests, and one of
// them is held.
func draining(t *testing.T, args ...string) (gate sluice, access string, g *gate, held *net.TCPConn) {
	t.Helper()
	access = filepath.Join(t.TempDir(), "access")
	gate = startSluice(t, append(append(startLibfcgi(t, 2).args(), "--access-log", access, "--lanes", "off"), args...)...)
	g = newGate(t)
	held = connect(t, goodFrom, gate.url)
	send(held, "GET /wait?gate=%s HTTP/1.1\r\nHost: x\r\n\r\n", g.dir)
	g.entered(t, 1)
	return gate, access, g, held
}

// terminate asks for the end, and waits until new connections are refused.
func (s sluice) terminate(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGTERM)
	s.logs(t, "msg=draining")
	eventually(t, "nobody listens", func() error {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			return nil
		}
		_ = c.Close()
		return errNotYet
	})
}

// wantEnd fails unless the gate ends by itself within d.
func (s sluice) wantEnd(t testing.TB, d time.Duration) {
	t.Helper()
	begun := time.Now()
	if err := s.wait(t); err != nil {
		t.Errorf("sluice ended with %v", err)
	}
	if took := time.Since(begun); took > d {
		t.Errorf("it took %v to end, want %v at most", took, d)
	}
}

func wantReply(t testing.TB, c net.Conn, status int, closes bool) string {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Errorf("no answer: %v", err)
		return ""
	}
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != status || resp.Close != closes || err != nil {
		t.Errorf("%s %q, close %v, %v; want %d, close %v", resp.Status, body, resp.Close, err, status, closes)
	}
	return string(body)
}

func wantLines(t testing.TB, access string, want map[string]int) {
	t.Helper()
	text, err := os.ReadFile(access)
	if err != nil {
		t.Fatal(err)
	}
	for what, n := range want {
		if got := strings.Count(string(text), what); got != n {
			t.Errorf("%d times %s in the access log, want %d:\n%s", got, what, n, text)
		}
	}
}

// A connection without a request does not hold the drain, whether it has never had one, has
// half a header, or is kept. It took five seconds.
func TestDrainOfSilentConnections(t *testing.T) {
	gate := startSluice(t, startLibfcgi(t, 2).args()...)
	connect(t, goodFrom, gate.url)
	send(connect(t, goodFrom, gate.url), "GET / HTTP/1.1\r\nHo")
	kept := connect(t, goodFrom, gate.url)
	send(kept, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
	wantReply(t, kept, 200, false)
	m := telling.FindStringSubmatch(gate.output.String())
	connect(t, goodFrom, "http://"+m[1]) // to the status
	gate.signal(t, syscall.SIGTERM)
	gate.wantEnd(t, 2*time.Second)
}

// While it drains, a request on a connection that was accepted before is told to come again,
// what is under way is answered, and the status says what is going on.
func TestRequestDuringTheDrain(t *testing.T) {
	gate, access, g, held := draining(t)
	side := gate.side(t)
	silent, half := connect(t, goodFrom, gate.url), connect(t, goodFrom, gate.url)
	send(half, "GET /hello HTTP/1.1\r\nHo")
	eventually(t, "they are accepted", func() error {
		if open := readState(t, side).Front.Connections.Open; open != 3 {
			return fmt.Errorf("%d connections are open", open)
		}
		return nil
	})
	gate.terminate(t)
	send(silent, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
	send(half, "st: x\r\n\r\n")
	wantReply(t, silent, 503, true)
	wantReply(t, half, 503, true)
	eventually(t, "it drains, and the one that is held is under way", func() error { // a client has its answer before the request ends
		if s := readState(t, side); !s.Front.Draining || s.InFlight != 1 {
			return fmt.Errorf("the status is %+v", s)
		}
		return nil
	})
	side.get(t, "/healthz")
	g.open(t)
	if body := wantReply(t, held, 200, true); body != "waited\n" {
		t.Errorf("got %q", body)
	}
	gate.wantEnd(t, 2*time.Second)
	wantLines(t, access, map[string]int{`"status":200`: 1, `"status":503`: 2, `"refused":"drain"`: 2, `"status":499`: 0})
}

// A client that has sent its next request already gets the answer to the first one whole.
func TestPipelinedDuringTheDrain(t *testing.T) {
	gate, _, g, held := draining(t)
	send(held, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n%s", strings.Repeat("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", 100))
	gate.terminate(t)
	g.open(t)
	if body := wantReply(t, held, 200, true); body != "waited\n" {
		t.Errorf("got %q", body)
	}
	if _, err := held.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the answer: %v, want io.EOF: a reset could cost a client the answer", err)
	}
	gate.wantEnd(t, 2*time.Second)
}

// What the drain cuts is told so if it was not answered yet. An answer that has begun is cut
// so that it does not look complete, even where its end is that of the connection.
func TestCutByTheDrain(t *testing.T) {
	for name, args := range map[string][]string{
		"timeout": {"--drain-timeout", "300ms"}, "second signal": nil, "no time": {"--drain-timeout", "0s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gate, access, _, held := draining(t, args...)
			stream, waits := newGate(t), connect(t, goodFrom, gate.url)
			streamed := connect(t, goodFrom, gate.url)
			send(streamed, "GET /stream?n=1000&kind=plain&gate=%s HTTP/1.0\r\n\r\n", stream.dir)
			in := bufio.NewReader(streamed)
			_ = streamed.SetReadDeadline(time.Now().Add(patience))
			for line := ""; !strings.HasPrefix(line, "data: 0"); {
				var err error
				if line, err = in.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
			}
			send(waits, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n") // both workers are taken
			side := gate.side(t)
			eventually(t, "one waits", func() error {
				if readState(t, side).Gate.Waiting == 0 {
					return errNotYet
				}
				return nil
			})
			gate.signal(t, syscall.SIGTERM)
			if name == "second signal" {
				gate.logs(t, "msg=draining")
				gate.signal(t, syscall.SIGINT)
			}
			wantReply(t, held, 503, true)
			wantReply(t, waits, 503, true)
			if _, err := io.Copy(io.Discard, in); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the answer that had begun ends with %v", err)
			}
			gate.wantEnd(t, 4*time.Second)
			wantLines(t, access, map[string]int{`"status":200`: 1, `"aborted":true`: 1, `"status":503`: 2, `"refused":"drain"`: 2, `"status":499`: 0})
		})
	}
}

// A client that does not take its answer holds the drain no longer than it may.
func TestCutOfSlowReader(t *testing.T) {
	gate := startSluice(t, append(startLibfcgi(t, 2).args(), "--drain-timeout", "300ms")...)
	c := connect(t, goodFrom, gate.url)
	send(c, "GET /download?n=50000000 HTTP/1.0\r\n\r\n")
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(c, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	gate.signal(t, syscall.SIGTERM)
	gate.wantEnd(t, 4*time.Second)
	if _, err := io.Copy(io.Discard, c); err == nil {
		t.Error("the answer looks complete")
	}
}
