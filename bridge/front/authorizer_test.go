//go:build linux

package front_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// guarded is a rig with an authorizer that speaks HTTP, has one worker and lets pass what it is
// asked about at /check.
func guarded(t *testing.T, pause time.Duration) (r *rig, asked func() []string) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "authorizer.sock"))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var questions []string
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		mu.Lock()
		questions = append(questions, q.Method+" "+q.URL.Path)
		mu.Unlock()
		time.Sleep(pause)
		if q.URL.Path != "/check" {
			w.WriteHeader(http.StatusTeapot)
		}
	})}
	var served sync.WaitGroup
	served.Go(func() { _ = s.Serve(l) })
	t.Cleanup(served.Wait)
	t.Cleanup(func() { _ = s.Close() })
	r = newRig(t, func(c *bridge.Config) {
		c.Workers, c.Lanes = 2, config.Off
		c.Authorizer = &config.Authorizer{Address: "http+unix:" + l.Addr().String() + ":/check", Workers: 1}
	}, nil)
	return r, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return questions
	}
}

// A request that has waited for the authorizer asks it what one asks that has not.
func TestAuthorizerAfterWait(t *testing.T) {
	r, asked := guarded(t, 60*time.Millisecond)
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			c := dial(t, r.loop)
			fmt.Fprint(c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody")
			if got, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 200 OK\r\n") || !strings.HasSuffix(string(got), " 4 <nil> body\n") {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	clients.Wait()
	for _, q := range asked() {
		if q != "GET /check" {
			t.Errorf("the authorizer was asked %q", q)
		}
	}
}

// What the authorizer has let pass goes on in a goroutine, with its body, and its client may leave.
func TestAuthorizedTail(t *testing.T) {
	r, _ := guarded(t, 0)
	c := dial(t, r.loop)
	fmt.Fprint(c, "GET /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbodyGET /echo?next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	got, err := io.ReadAll(c)
	for _, want := range []string{"GET /echo a \"\" 4 <nil> body\n", "GET /echo?next a \"\" 0 <nil> \n"} {
		if err != nil || !strings.Contains(string(got), want) {
			t.Errorf("got %q, %v, want %q in it", got, err, want)
		}
	}

	var clients []*net.TCPConn
	for range 20 {
		c := dial(t, r.loop)
		fmt.Fprint(c, "GET /poll HTTP/1.1\r\nHost: a\r\n\r\n")
		clients = append(clients, c)
	}
	eventually(t, "polls wait in the gate", func() error {
		if s := r.handler.Snapshot().Gate; s.Waiting < 5 {
			return fmt.Errorf("%d in use, %d waiting", s.InUse, s.Waiting)
		}
		return nil
	})
	for _, c := range clients {
		_ = c.Close()
	}
	r.wantIdle(t)
	if n := len(r.outcomesOf(200)); n > 8 {
		t.Errorf("%d requests were answered, most of them for nobody", n)
	}
}

// A session that the authorizer has prolonged is prolonged for a client that is held, too.
func TestAuthorizerOfHeldClient(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "authorizer.sock"))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Set-Cookie", "session=2")
		w.WriteHeader(http.StatusNoContent)
	})}
	var served sync.WaitGroup
	served.Go(func() { _ = s.Serve(l) })
	t.Cleanup(served.Wait)
	t.Cleanup(func() { _ = s.Close() })
	r := newHoldRig(t, says, func(c *bridge.Config) {
		c.Authorizer = &config.Authorizer{Address: "http+unix:" + l.Addr().String() + ":/check"}
	})
	for _, method := range []string{"GET", "POST"} {
		r.onBoth(t, func(t *testing.T, addr string) {
			c := dial(t, addr)
			fmt.Fprintf(c, "%s /held?Grip-Hold=response&Grip-Channel=a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", method)
			r.wantHeld(t, 1)
			r.publish(t, holdKey, item("a", "one"))
			resp, body := answerOf(t, bufio.NewReader(c))
			if cookies := resp.Header["Set-Cookie"]; body != "one" || len(cookies) != 1 || cookies[0] != "session=2" {
				t.Errorf("%s: %q, %v", method, body, resp.Header)
			}
		})
	}
}
