//go:build linux

package integration

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/integration/says"
)

// startSaying runs an application that gives those answers, and returns its address.
func startSaying(t testing.TB, answers map[string]says.Answer) (*says.App, string) {
	t.Helper()
	path := filepath.Join(socketDir(t), "app.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	app := &says.App{Answers: answers}
	app.Start(l)
	t.Cleanup(app.Close)
	return app, "unix:" + path
}

// Complete answers are delivered at once, on real sockets too, and others are not.
func TestCompleteAnswers(t *testing.T) {
	const slow = 20 * time.Millisecond // more than answers are collected for
	text := "Content-Type: text/plain\r\n"
	for name, tc := range map[string]struct {
		answer says.Answer
		body   string // "": it is not complete
	}{
		"length, then EOF":         {says.Answer{Parts: []string{text + "Content-Length: 5\r\n\r\nhello"}, HangUp: true}, "hello"},
		"the same, slowly":         {says.Answer{Parts: []string{text + "Content-Length: 5\r\n\r\n", "hel", "lo"}, Pause: slow, HangUp: true}, "hello"},
		"STDOUT ended, late end":   {says.Answer{Parts: []string{text + "\r\nhello", ""}, Late: time.Minute}, "hello"},
		"the same, slowly, ended":  {says.Answer{Parts: []string{text + "\r\n", "hello", ""}, Pause: slow, Late: time.Minute}, "hello"},
		"STDOUT ended, then EOF":   {says.Answer{Parts: []string{text + "\r\nhello", ""}, HangUp: true}, "hello"},
		"event stream, late end":   {says.Answer{Parts: []string{"Content-Type: text/event-stream\r\n\r\n", "hello", ""}, Late: time.Minute}, "hello"},
		"chunks":                   {says.Text(text + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "hello"},
		"chunks, slowly, then EOF": {says.Answer{Parts: []string{text + "Transfer-Encoding: chunked\r\n\r\n", "5\r", "\nhel", "lo\r\n0\r\n\r\n"}, Pause: slow, HangUp: true}, "hello"},
		"EOF":                      {says.Answer{Parts: []string{text + "\r\nhello"}, HangUp: true}, ""},
		"EOF, slowly":              {says.Answer{Parts: []string{text + "\r\n", "hello"}, Pause: slow, HangUp: true}, ""},
		"too short":                {says.Text(text + "Content-Length: 6\r\n\r\nhello"), ""},
		"no last chunk":            {says.Answer{Parts: []string{text + "Transfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n", ""}, Pause: slow}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, addr := startSaying(t, map[string]says.Answer{"": tc.answer, "next": says.Text("X-A: b\n\nnext")})
			s := newSite(t, startSluice(t, "--backend", addr, "--workers", "4", "--multiplex", "off").url)
			begun := time.Now()
			resp, body, err := s.try(s.request(t, http.MethodGet, "/", nil))
			switch complete := err == nil && resp.StatusCode == http.StatusOK; {
			case complete != (tc.body != ""), complete && body != tc.body:
				t.Errorf("%v %q, %v", resp, body, err)
			case time.Since(begun) > patience:
				t.Errorf("after %v", time.Since(begun))
			}
			if got := s.get(t, "/next"); got != "next" {
				t.Errorf("then %q", got)
			}
		})
	}
}

// An interim header comes before the answer does.
func TestEarlyHints(t *testing.T) {
	_, addr := startSaying(t, map[string]says.Answer{"": {
		Parts: []string{"Status: 103 Early Hints\nLink: </a.css>; rel=preload\n\n", "HTTP/1.1 100 Continue\r\n\r\nContent-Type: text/plain\n\nhello", ""}, Pause: 100 * time.Millisecond,
	}})
	s := newSite(t, startSluice(t, "--backend", addr).url)
	var hints []string
	r := s.request(t, http.MethodGet, "/", nil)
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(status int, h textproto.MIMEHeader) error {
			hints = append(hints, fmt.Sprint(status, h))
			return nil
		},
	}))
	resp, body := s.do(t, r)
	if body != "hello" || resp.Header.Get("Link") != "" || fmt.Sprint(hints) != "[103 map[Link:[</a.css>; rel=preload]]]" {
		t.Errorf("%q, %v after %v", body, resp.Header, hints)
	}
}

// program writes a CGI program of /bin/sh that prints text.
func program(t testing.TB, name, text string) {
	t.Helper()
	write(t, name, "#!/bin/sh\ncat <<'END OF TEXT'\n%s\nEND OF TEXT\n", text)
	if err := os.Chmod(name, 0o755); err != nil {
		t.Fatal(err)
	}
}

// CGI programs print what they like; fcgiwrap passes it on as it is.
func TestProgramsSayWhatTheyLike(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"plain.cgi":    "Content-Type: text/plain\n\nhello",
		"status.cgi":   "Status: 404: Not Found\nContent-Type: text/plain\n\nhello",
		"line.cgi":     "HTTP/1.1 200 OK\nStatus: 403\n\nhello",
		"glued.cgi":    "Status: 200OK\nContent-Type : text/plain\nX A: b\nX-Long: a\n b\n\nhello",
		"twice.cgi":    "Content-Type: text/html\nContent-Type: text/plain\nETag: \"a\"\nETag: \"a\"\n\nhello",
		"chunked.cgi":  "Content-Type: text/plain\nTransfer-Encoding: chunked\n\n6\nhello\n\n0\n",
		"reset.cgi":    "Status: 205 Reset Content\nContent-Type: text/plain\n\nhello",
		"local.cgi":    "Location: /sub/a b.cgi?x y\n",
		"sub/a b.cgi":  "Content-Type: text/plain\n\nhello",
		"page.cgi":     "Location: /plain.cgi\n\nhello",
		"control.cgi":  "Content-Type: text/plain\nX-A: a\x1b[31m\n\nhello",
		"location.cgi": "Status: 302\nLocation: /a\nLocation: /a\n",
	} {
		program(t, filepath.Join(root, name), text)
	}
	be := startFcgiwrap(t, root, 4)
	g := startSluice(t, be.args()...)
	s := newSite(t, g.url)
	for path, want := range map[string]struct {
		status int
		body   string
		header http.Header // nil: must not be there
	}{
		"/status.cgi":   {404, "hello\n", nil},
		"/line.cgi":     {403, "hello\n", nil},
		"/glued.cgi":    {200, "hello\n", http.Header{"Content-Type": {"text/plain"}, "X-Long": {"a b"}, "X A": nil}},
		"/twice.cgi":    {200, "hello\n", http.Header{"Content-Type": {"text/plain"}, "Etag": {`"a"`}}},
		"/chunked.cgi":  {200, "hello\n", http.Header{"Transfer-Encoding": nil}},
		"/reset.cgi":    {205, "", http.Header{"Content-Length": {"0"}}},
		"/local.cgi":    {200, "hello\n", http.Header{"Location": nil}},
		"/page.cgi":     {302, "hello\n", http.Header{"Location": {"/plain.cgi"}}},
		"/control.cgi":  {502, "", nil},
		"/location.cgi": {302, "", http.Header{"Location": {"/a"}}},
	} {
		resp, body := s.do(t, s.request(t, http.MethodGet, path, nil))
		if resp.StatusCode != want.status || want.status < 500 && strings.TrimSpace(body) != strings.TrimSpace(want.body) {
			t.Errorf("%s: %s %q", path, resp.Status, body)
		}
		for name, values := range want.header {
			if got := resp.Header[name]; fmt.Sprint(got) != fmt.Sprint(values) {
				t.Errorf("%s: %s is %q, want %q", path, name, got, values)
			}
		}
	}
	g.logs(t, "is no field name")
}

// A local redirect leads to another script, to a static file, to nothing that is hidden, and
// not out of the mount.
func TestLocalRedirects(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "style.css"), "a{}")
	write(t, filepath.Join(root, "data/secret.css"), "secret")
	write(t, filepath.Join(root, "notes.txt"), "secret")
	for _, to := range []string{"style.css?v=1", "data/secret.css", "notes.txt", "other.php"} {
		name, _, _ := strings.Cut(filepath.Base(to), ".")
		program(t, filepath.Join(root, "to-"+name+".php"), "Location: /app/"+to+"\n")
	}
	program(t, filepath.Join(root, "other.php"), "Content-Type: text/plain\n\nother")
	program(t, filepath.Join(root, "to-login.php"), "Location: /login?from=1\n")
	be := startFcgiwrap(t, root, 4)
	be.preset = "php"
	s := newSite(t, startSluice(t, append(be.args(), "--mount", "/app", "--hide", "/data")...).url+"/app")
	for path, want := range map[string]struct {
		status   int
		body     string
		location string
	}{
		"/to-style.php":  {200, "a{}", ""},
		"/to-secret.php": {404, "", ""},
		"/to-notes.php":  {404, "", ""},
		"/to-other.php":  {200, "other\n", ""},
		"/to-login.php":  {302, "", "/login?from=1"},
	} {
		resp, body := s.do(t, s.request(t, http.MethodPost, path, strings.NewReader("body")))
		if resp.StatusCode != want.status || resp.Header.Get("Location") != want.location || want.status != 404 && strings.TrimSpace(body) != strings.TrimSpace(want.body) {
			t.Errorf("%s: %s to %q: %q", path, resp.Status, resp.Header.Get("Location"), body)
		}
	}
}

// sendfileSite is a directory with files, and one with PHP scripts that have them sent.
func sendfileSite(t testing.TB) (root, files string) {
	t.Helper()
	root, files = t.TempDir(), t.TempDir()
	write(t, filepath.Join(files, "a b.txt"), "0123456789")
	write(t, filepath.Join(root, "sendfile.php"), `<?php
header('Content-Type: text/x-mine');
header('Content-Disposition: attachment; filename="a b.txt"');
header('X-Sendfile: %[1]s/a b.txt');
if (isset($_GET['length'])) header('Content-Length: ' . filesize('%[1]s/a b.txt'));
`, files)
	write(t, filepath.Join(root, "accel.php"), `<?php
header('Content-Type: text/x-mine');
header('X-Accel-Redirect: /protected/a%%20b.txt');
`)
	return root, files
}

// PHP and its applications have files sent.
func TestPHPSendfile(t *testing.T) {
	root, files := sendfileSite(t)
	be := startFPM(t, fpmOptions{root: root, workers: 2})
	g := startSluice(t, append(be.args(), "--sendfile", files, "--sendfile", "/protected="+files)...)
	s := newSite(t, g.url)
	for _, path := range []string{"/sendfile.php", "/sendfile.php?length", "/accel.php"} {
		resp, body := s.do(t, s.request(t, http.MethodGet, path, nil))
		if resp.StatusCode != 200 || body != "0123456789" || resp.ContentLength != 10 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/x-mine") || resp.Header.Get("X-Sendfile")+resp.Header.Get("X-Accel-Redirect") != "" {
			t.Errorf("%s: %s %q %v", path, resp.Status, body, resp.Header)
		}
		r := s.request(t, http.MethodGet, path, nil)
		r.Header.Set("Range", "bytes=3-5")
		if resp, body := s.do(t, r); resp.StatusCode != 206 || body != "345" {
			t.Errorf("%s: %s %q", path, resp.Status, body)
		}
		r = s.request(t, http.MethodGet, path, nil)
		r.Header.Set("If-Modified-Since", resp.Header.Get("Last-Modified"))
		if resp, body := s.do(t, r); resp.StatusCode != 304 || body != "" {
			t.Errorf("%s: %s %q", path, resp.Status, body)
		}
	}
}

// nginx before the gate acts on the field, if it is named as a proxy. Otherwise nobody is told
// where the file is.
func TestSendfileByNginx(t *testing.T) {
	root, files := sendfileSite(t)
	be := startFPM(t, fpmOptions{root: root, workers: 2})
	location := fmt.Sprintf("location /protected/ { internal; alias %s/; }", files)

	trusted := startSluice(t, append(be.args(), "--trusted-proxy", "127.0.0.1")...)
	s := newSite(t, startProxy(t, trusted.url, location))
	if got := s.get(t, "/accel.php"); got != "0123456789" {
		t.Errorf("%q", got)
	}
	stranger := startSluice(t, be.args()...)
	for _, url := range []string{stranger.url, startProxy(t, stranger.url, location)} {
		s := newSite(t, url)
		for _, path := range []string{"/accel.php", "/sendfile.php", "/sendfile.php?length"} {
			resp, body := s.do(t, s.request(t, http.MethodGet, path, nil))
			if resp.StatusCode != http.StatusBadGateway || strings.Contains(body, "0123") || resp.Header.Get("X-Sendfile")+resp.Header.Get("X-Accel-Redirect") != "" {
				t.Errorf("%s: %s %q %v", path, resp.Status, body, resp.Header)
			}
		}
	}
	stranger.logs(t, "no directory is listed for that")
	if n := strings.Count(stranger.output.String(), "level=WARN msg=\"the application asks for a file"); n != 1 {
		t.Errorf("the log tells of it %d times", n)
	}
}

// nginx before the gate holds back nothing that the application wants delivered at once.
func TestBufferingOfNginx(t *testing.T) {
	be := startFPM(t, fpmOptions{root: testdata(t, ""), workers: 2})
	s := newSite(t, startProxy(t, startSluice(t, be.args()...).url)+be.prefix)
	g := newGate(t)
	resp := s.open(t, t.Context(), "/stream?n=2&kind=accel&gate="+g.dir)
	defer resp.Body.Close()
	for i := range 2 {
		wantNext(t, resp.Body, fmt.Sprintf("data: %d\n\n", i))
		g.pass(t)
	}
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
		t.Errorf("at the end: %q, %v", rest, err)
	}
}
