package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// tree is a tree like those people point --root at: things to send beside things
// that must not leave it.
func tree(t *testing.T) (root, outside string) {
	t.Helper()
	root, outside = t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		"index.php": "<?php", "style.css": "body{}", "img/LOGO.PNG": "png", "page.html": "<p>", "robots.txt": "User-agent: *", "doc/index.html": "<h1>",
		"notes.txt": "secret", "conf/users.auth.php": "secret", "index.php~": "secret", "db.sqlite": "secret",
		".htpasswd.css": "secret", ".git/style.css": "secret", "data/media/x.png": "secret",
	} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(outside, "theme.css"), []byte("theme"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(root, "tpl")); err != nil {
		t.Fatal(err)
	}
	return root, outside
}

// TestFiles asks the front for files. The backend does not exist: what is not a
// file is a 404 of the preset's, or a 502 where a script would run.
func TestFiles(t *testing.T) {
	root, outside := tree(t)
	for _, c := range []struct {
		path   string
		follow []string
		want   int
		body   string
	}{
		{path: "/style.css", want: 200, body: "body{}"},
		{path: "/img/LOGO.PNG", want: 200, body: "png"},
		{path: "/page.html", want: 200, body: "<p>"},
		{path: "/robots.txt", want: 200, body: "User-agent: *"},
		{path: "/tpl/theme.css", want: 403},
		{path: "/tpl/theme.css", follow: []string{outside}, want: 200, body: "theme"},
		{path: "/doc/", want: 200, body: "<h1>"},
		{path: "/notes.txt", want: 404},
		{path: "/index.php~", want: 404},
		{path: "/db.sqlite", want: 404},
		{path: "/.htpasswd.css", want: 404},
		{path: "/.git/style.css", want: 404},
		{path: "/data/media/x.png", want: 404},
		{path: "/data", want: 404},
		{path: "/database.css", want: 404},
		{path: "/img/../data/media/x.png", want: 404},
		{path: "//data/media/x.png", want: 404},
		{path: "/img/%2e%2e/data/media/x.png", want: 404},
		{path: "/img/../style.css", want: 200, body: "body{}"},
		{path: "/img", want: 301},
		{path: "/index.php", want: 502},
		{path: "/", want: 502},
	} {
		f, log := testFront(t, &config.HostedSite{Site: config.Site{Root: root, Static: cgi.StaticUsual, Hide: []string{"/data"}, Follow: c.follow, Index: []string{"index.php", "index.html"}}})
		res := httptest.NewRecorder()
		f.ServeHTTP(res, httptest.NewRequest(http.MethodGet, c.path, nil))
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if res.Code != c.want || c.body != "" && string(body) != c.body || strings.Contains(string(body), "secret") {
			t.Errorf("GET %s (follow %v): %d %q, want %d %q", c.path, c.follow, res.Code, body, c.want, c.body)
		}
		var line struct {
			URI    string `json:"uri"`
			Status int    `json:"status"`
			Bytes  int    `json:"bytes_out"`
		}
		if err := json.Unmarshal(log.Bytes(), &line); err != nil {
			t.Fatalf("GET %s: access log %q: %v", c.path, log, err)
		}
		if line.URI != c.path || line.Status != c.want || line.Bytes != len(body) {
			t.Errorf("GET %s: access log %+v, want status %d and %d bytes", c.path, line, c.want, len(body))
		}
	}
}

// TestStaticOff leaves every file to the application.
func TestStaticOff(t *testing.T) {
	root, _ := tree(t)
	f, _ := testFront(t, &config.HostedSite{Site: config.Site{Root: root, Static: cgi.StaticOff}})
	res := httptest.NewRecorder()
	f.ServeHTTP(res, httptest.NewRequest(http.MethodGet, "/style.css", nil))
	if res.Code != http.StatusNotFound {
		t.Errorf("GET /style.css with --static off: %d, want 404", res.Code)
	}
}

// testFront returns the front of sites with an application in PHP that does not exist, and what it
// writes to the access log.
func testFront(t *testing.T, sites ...*config.HostedSite) (*front, *bytes.Buffer) {
	t.Helper()
	a := &config.NamedApplication{Name: "app"}
	a.Preset, a.Backends = config.PresetPHP, []string{"unix:" + filepath.Join(t.TempDir(), "absent.sock")}
	for _, s := range sites {
		s.Uses = a.Name
	}
	var log bytes.Buffer
	s := testServer(t, newAccessLog(&log, config.AccessJSON), &config.Standalone{Applications: []*config.NamedApplication{a}, Sites: sites})
	return s.front, &log
}

// testServer returns a server with a configuration, as flags would have it.
func testServer(t *testing.T, access *accessLog, c *config.Standalone) *server {
	t.Helper()
	complete := []interface{ Complete() error }{&c.Server}
	for _, a := range c.Applications {
		complete = append(complete, a)
	}
	for _, s := range c.Sites {
		complete = append(complete, s)
	}
	for _, part := range complete {
		if err := part.Complete(); err != nil {
			t.Fatal(err)
		}
	}
	made, err := newSetup(c, new(options), "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(access, &errorLog{log: slog.New(slog.DiscardHandler)}, nil)
	if err := s.begin(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// testApplication is a server in front of one application.
func testApplication(t *testing.T, a config.Application) *server {
	t.Helper()
	return testServer(t, &accessLog{}, &config.Standalone{
		Applications: []*config.NamedApplication{{Name: "app", Application: a}}, Sites: []*config.HostedSite{{Uses: "app"}},
	})
}

// TestAccessLogReopen renames the log under the program, as log rotation does.
func TestAccessLogReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	a, err := openAccessLog(path, config.AccessJSON, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/one", nil)
	a.static(r, "192.0.2.1", 200, 1)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	a.static(r, "192.0.2.1", 200, 2)
	if err := a.reopen(); err != nil {
		t.Fatal(err)
	}
	a.static(r, "192.0.2.1", 200, 3)
	if lost := a.close(); lost != 0 {
		t.Errorf("%d lines lost", lost)
	}
	// Those before it was opened anew may be in either.
	var all strings.Builder
	for _, name := range []string{path + ".1", path} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(string(text))
		if name == path && !strings.HasSuffix(all.String(), "\n") || name == path && !strings.Contains(string(text), `"bytes_out":3,`) {
			t.Errorf("the new file has\n%s", text)
		}
	}
	for i, line := range strings.Split(strings.TrimSuffix(all.String(), "\n"), "\n") {
		if !strings.Contains(line, fmt.Sprintf(`"bytes_out":%d,`, i+1)) || i > 2 {
			t.Errorf("line %d is %s", i+1, line)
		}
	}
}

// TestFileWithBody asks for a file and announces a body that never comes: the
// connection must not be held for longer than --client-timeout.
func TestFileWithBody(t *testing.T) {
	root, _ := tree(t)
	f, _ := testFront(t, &config.HostedSite{Site: config.Site{Root: root, Static: cgi.StaticUsual, Timeouts: config.RequestTimeouts{Client: config.Duration(50 * time.Millisecond)}}})
	server := httptest.NewServer(f)
	defer server.Close()
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /style.css HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is still open")
	}
}

// TestRequestOnClosedConnection has a connection closed for others while its request is
// read: the application does not see that.
func TestRequestOnClosedConnection(t *testing.T) {
	root, _ := tree(t)
	f, log := testFront(t, &config.HostedSite{Site: config.Site{Root: root}})
	for closed, want := range map[bool]int{false: 1, true: 0} {
		log.Reset()
		server := httptest.NewUnstartedServer(f)
		done := make(chan struct{})
		server.Config.ConnState = func(c net.Conn, s http.ConnState) {
			switch {
			case s == http.StateActive && closed:
				c.Close()
			case s == http.StateClosed:
				close(done)
			}
		}
		server.Start()
		c, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "GET /index.php HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, c) // it may be a reset
		<-done
		c.Close()
		server.Close()
		if n := strings.Count(log.String(), "\n"); n != want {
			t.Errorf("closed: %v: %d requests in the log, want %d", closed, n, want)
		}
	}
}

// A host that no site has is answered with 421, which is in the access log.
func TestUnknownHost(t *testing.T) {
	root, _ := tree(t)
	f, log := testFront(t, &config.HostedSite{Hosts: []string{"wiki.test"}, Site: config.Site{Root: root}})
	for method, body := range map[string]string{http.MethodGet: "421 Misdirected Request\n\nThere is no site for the host \"other.test\".\n", http.MethodHead: ""} {
		for _, serve := range []http.HandlerFunc{f.ServeHTTP, f.webServer} {
			log.Reset()
			r := httptest.NewRequest(method, "http://other.test/style.css", nil)
			res := httptest.NewRecorder()
			if serve(res, r); res.Code != http.StatusMisdirectedRequest || method == http.MethodGet && res.Body.String() != body {
				t.Errorf("%s: %d %q", method, res.Code, res.Body)
			}
			if want := fmt.Sprintf(`"status":421,"bytes_out":%d,`, len(body)); !strings.Contains(log.String(), want) || !strings.Contains(log.String(), `"client":"192.0.2.1"`) {
				t.Errorf("%s: the log has %s, want %s", method, log, want)
			}
		}
	}
	for _, host := range []string{"wiki.test", "WIKI.test.:8080"} {
		res := httptest.NewRecorder()
		if f.ServeHTTP(res, httptest.NewRequest(http.MethodGet, "http://"+host+"/style.css", nil)); res.Code != http.StatusOK {
			t.Errorf("%s: %d", host, res.Code)
		}
	}
}
