//go:build linux

package caddy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startGunicorn runs the WSGI routes of the other integration tests, with 4 threads.
func startGunicorn(t *testing.T) (addr string) {
	t.Helper()
	program, err := exec.LookPath("/usr/bin/gunicorn")
	if err != nil {
		t.Fatalf("%v (integration/setup.sh installs it)", err)
	}
	dir, err := filepath.Abs("../testdata")
	if err != nil {
		t.Fatal(err)
	}
	addr = freeAddress(t)
	cmd := exec.Command(program, "--chdir", dir, "--bind", addr, "--threads", "4", "routes:application")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
			return addr
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// One line serves an application that speaks HTTP, with the client's headers, bodies and user.
func TestHTTP(t *testing.T) {
	s := start(t, "sluice http://"+startGunicorn(t))
	s.want(s.get("/hello"), 200, "hello\n")
	s.want(s.ask("POST", "/echo", strings.Repeat("0123456789", 30_000)), 200, strings.Repeat("0123456789", 30_000))
	re := s.ask("GET", "/params/x?y=z", "", "X-Forwarded-For", "6.6.6.6", "X-Remote-User", "root")
	for _, want := range []string{"HTTP_X_FORWARDED_FOR=127.0.0.1\n", "HTTP_X_FORWARDED_PROTO=http\n", "PATH_INFO=/params/x\n", "QUERY_STRING=y=z\n"} {
		if !strings.Contains(re.body, want) {
			t.Errorf("no %q in\n%s", want, re.body)
		}
	}
	if strings.Contains(re.body, "6.6.6.6") || strings.Contains(re.body, "REMOTE_USER") {
		t.Errorf("the client's own fields have arrived:\n%s", re.body)
	}
	if list := s.state(); len(list) != 1 || list[0].Snapshot.Pool.Instances[0].Dials > 2 {
		t.Errorf("status %+v: want a connection that is used again", list)
	}
}

// An application that speaks HTTP is asked for what Caddy's directives have made of the request.
func TestHTTPRewrite(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.RequestURI) }))
	defer app.Close()
	s := start(t, fmt.Sprintf(`
		handle_path /app/* {
			sluice %[1]s
		}
		handle {
			rewrite /old* /new?b=1
			sluice %[1]s {
				hide /secret
			}
		}`, app.URL))
	for path, want := range map[string]string{"/app/x%2Fy?a=1": "/x%2Fy?a=1", "/old/page?a=1": "/new?b=1", "/%78//y?": "/%78//y?"} {
		s.want(s.get(path), 200, want)
	}
	if re := s.get("/secret"); re.status != 404 {
		t.Errorf("what is hidden: %+v", re)
	}
}

// A WebSocket goes through Caddy, and ends when its site is gone.
func TestWebSocket(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" {
			return
		}
		c, in, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		_, _ = io.Copy(c, in)
	}))
	defer app.Close()
	s := start(t, "sluice "+app.URL)
	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%+v, %v", resp, err)
	}
	_, _ = io.WriteString(c, "\x81\x05hello\n")
	if line, err := in.ReadString('\n'); line != "\x81\x05hello\n" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
	s.load("respond gone")
	if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil {
		t.Errorf("after the reload: %q, %v", rest, err)
	}
}
