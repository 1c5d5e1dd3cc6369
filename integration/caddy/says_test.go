//go:build linux

package caddy

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/integration/says"
)

// startSaying runs an application that gives those answers, and returns its address.
func startSaying(t *testing.T, answers map[string]says.Answer) (*says.App, string) {
	t.Helper()
	path := filepath.Join(socketDir(t), "app.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	app := &says.App{Answers: answers}
	app.Start(l)
	t.Cleanup(app.Close)
	return app, "unix/" + path
}

// bothRoads are the two to an application, with options.
var bothRoads = map[string]func(addr, options string) string{
	"handler": func(addr, options string) string { return fmt.Sprintf("sluice %s {\n%s\n}", addr, options) },
	"transport": func(addr, options string) string {
		return fmt.Sprintf("reverse_proxy %s {\ntransport sluice {\n%s\n}\n}", addr, options)
	},
}

// startStill is start for a client that sees redirects.
func startStill(t *testing.T, directives string) *site {
	t.Helper()
	s := start(t, directives)
	s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return s
}

// What applications say means the same on both roads.
func TestSays(t *testing.T) {
	files := t.TempDir()
	write(t, filepath.Join(files, "a.txt"), "0123456789")
	text := "Content-Type: text/plain\r\n"
	cases := map[string]struct {
		answer says.Answer
		status int
		body   string
		header map[string]string // "": must not be there
		cut    bool              // it must not look complete
	}{
		"length":    {answer: says.Answer{Parts: []string{text + "Content-Length: 5\r\n\r\nhello"}, HangUp: true}, status: 200, body: "hello"},
		"late":      {answer: says.Answer{Parts: []string{text + "\r\nhello", ""}, Late: time.Minute}, status: 200, body: "hello"},
		"slow":      {answer: says.Answer{Parts: []string{text + "\r\n", "hello", ""}, Pause: 20 * time.Millisecond, Late: time.Minute}, status: 200, body: "hello"},
		"chunks":    {answer: says.Text(text + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), status: 200, body: "hello"},
		"empty":     {answer: says.Text("\r\nhello"), status: 200, body: "hello"},
		"status":    {answer: says.Text("HTTP/1.1 200 OK\nStatus: 404: Not Found\n\nhello"), status: 404, body: "hello"},
		"sloppy":    {answer: says.Text("Content-Type : text/html\nContent-Type: text/plain\nX A: b\nX-B: c\n d\n\nhello"), status: 200, body: "hello", header: map[string]string{"Content-Type": "text/plain", "X-B": "c d", "X A": ""}},
		"reset":     {answer: says.Text("Status: 205\n\nhello"), status: 205},
		"buffering": {answer: says.Text("X-Accel-Buffering: no\n\nhello"), status: 200, body: "hello", header: map[string]string{"X-Accel-Buffering": "no"}},
		"redirect":  {answer: says.Text("Location: /elsewhere\n\n<a>"), status: 302, body: "<a>", header: map[string]string{"Location": "/elsewhere"}},
		"local":     {answer: says.Text("Location: /length\n\n"), status: 200, body: "hello", header: map[string]string{"Location": ""}},
		"file":      {answer: says.Text("X-Sendfile: " + files + "/a.txt\nContent-Length: 10\n\n"), status: 200, body: "0123456789", header: map[string]string{"X-Sendfile": "", "Accept-Ranges": "bytes"}},
		"accel":     {answer: says.Text("X-Accel-Redirect: /protected/a.txt\n\n"), status: 200, body: "0123456789", header: map[string]string{"X-Accel-Redirect": ""}},
		"unlisted":  {answer: says.Text("X-Sendfile: /etc/passwd\n\n"), status: 502, header: map[string]string{"X-Sendfile": ""}},
		"control":   {answer: says.Text("X-A: a\x1bb\n\nhello"), status: 502},
		"short":     {answer: says.Text("Content-Length: 6\n\nhello"), cut: true},
		"hungup":    {answer: says.Answer{Parts: []string{text + "\r\n", "hello"}, Pause: 20 * time.Millisecond, HangUp: true}, cut: true},
		"cutchunks": {answer: says.Answer{Parts: []string{text + "Transfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n", ""}, Pause: 20 * time.Millisecond}, cut: true},
	}
	answers := make(map[string]says.Answer)
	for name, c := range cases {
		answers[name] = c.answer
	}
	for road, directive := range bothRoads {
		t.Run(road, func(t *testing.T) {
			_, addr := startSaying(t, answers)
			s := startStill(t, directive(addr, fmt.Sprintf("workers 16\nmultiplex off\nsendfile %s /protected=%s", files, files)))
			for name, c := range cases {
				begun := time.Now()
				re := s.get("/" + name)
				switch complete := re.err == nil && re.status == 200; {
				case c.cut && complete, !c.cut && re.err != nil, !c.cut && re.status != c.status, !c.cut && c.status < 500 && re.body != c.body:
					t.Errorf("%s: %+v", name, re)
				case time.Since(begun) > patience/2:
					t.Errorf("%s: after %v", name, time.Since(begun))
				}
				for field, want := range c.header {
					if got := strings.Join(re.header[field], "|"); got != want {
						t.Errorf("%s: %s is %q, want %q", name, field, got, want)
					}
				}
			}
			if re := s.ask("GET", "/file", "", "Range", "bytes=2-4"); re.status != 206 || re.body != "234" {
				t.Errorf("%+v", re)
			}
		})
	}
}

// Early Hints reach the client on both roads, once, and before the answer.
func TestEarlyHints(t *testing.T) {
	for road, directive := range bothRoads {
		t.Run(road, func(t *testing.T) {
			_, addr := startSaying(t, map[string]says.Answer{"": {Parts: []string{"Status: 103\nLink: </a.css>; rel=preload\n\n", "Status: 102\n\nX-A: b\n\nhello", ""}, Pause: 50 * time.Millisecond}})
			s := start(t, directive(addr, ""))
			var hints []string
			r, stop := newRequest(t, s.url+"/")
			defer stop()
			re := s.do(r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
				Got1xxResponse: func(status int, h textproto.MIMEHeader) error {
					hints = append(hints, fmt.Sprint(status, h["Link"]))
					return nil
				},
			})))
			if re.body != "hello" || re.header.Get("Link") != "" || re.header.Get("X-A") != "b" || fmt.Sprint(hints) != "[103 [</a.css>; rel=preload]]" {
				t.Errorf("%+v after %v", re, hints)
			}
		})
	}
}

// A handle_response of reverse_proxy that acts on X-Accel-Redirect gets it; a client never
// does.
func TestAccelRedirectOfCaddy(t *testing.T) {
	files := t.TempDir()
	write(t, filepath.Join(files, "protected/a.txt"), "0123456789")
	_, addr := startSaying(t, map[string]says.Answer{"": says.Text("X-Accel-Redirect: /protected/a.txt\nContent-Length: 10\n\n")})
	s := start(t, fmt.Sprintf(`reverse_proxy %s {
		transport sluice
		@accel header X-Accel-Redirect *
		handle_response @accel {
			root * %s
			rewrite * {rp.header.X-Accel-Redirect}
			method * GET
			file_server
		}
	}`, addr, files))
	s.want(s.get("/"), 200, "0123456789")
	s.load(fmt.Sprintf("reverse_proxy %s {\ntransport sluice\n@gone status 404\nhandle_response @gone {\nrespond gone\n}\n}", addr))
	if re := s.get("/"); re.status != 502 || re.header.Get("X-Accel-Redirect") != "" {
		t.Errorf("%+v", re)
	}
	if len(s.logged("the application asks for a file to be sent", "X-Accel-Redirect")) != 1 {
		t.Error("the log does not tell of it, or more than once")
	}
}

// Of a server's trusted proxies, one that may act on X-Accel-Redirect gets it.
func TestAccelRedirectBehindAProxy(t *testing.T) {
	_, addr := startSaying(t, map[string]says.Answer{"": says.Text("X-Accel-Redirect: /protected/a.txt\n\n")})
	for road, directive := range bothRoads {
		t.Run(road, func(t *testing.T) {
			s := start(t, directive(addr, ""), "servers {\ntrusted_proxies static 127.0.0.0/8\n}")
			if re := s.get("/"); re.status != 200 || re.header.Get("X-Accel-Redirect") != "/protected/a.txt" {
				t.Errorf("%+v", re)
			}
		})
	}
}

// A local redirect to a static file is answered by file_server, with the rules that hold for
// it, and as the client's own request where Sluice is a transport.
func TestLocalRedirectToAFile(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "index.php"), "")
	write(t, filepath.Join(root, "style.css"), "a{}")
	write(t, filepath.Join(root, "secret.css"), "secret")
	write(t, filepath.Join(root, ".env"), "secret")
	_, addr := startSaying(t, map[string]says.Answer{
		"index.php": says.Text("Location: /style.css?v=1\n\n"),
		"s.php":     says.Text("Location: /secret.css\n\n"),
		"e.php":     says.Text("Location: /.env\n\n"),
	})
	for _, name := range []string{"s.php", "e.php"} {
		write(t, filepath.Join(root, name), "")
	}
	s := startStill(t, fmt.Sprintf("root * %s\nlog\nsluice %s {\npreset php\n}\nfile_server {\nhide secret.css\n}", root, addr))
	re := s.ask("POST", "/index.php", "body")
	s.want(re, 200, "a{}")
	if !strings.HasPrefix(re.header.Get("Content-Type"), "text/css") || re.header.Get("Location") != "" {
		t.Errorf("%v", re.header)
	}
	for _, path := range []string{"/s.php", "/e.php"} {
		if re := s.get(path); re.status != 404 || strings.Contains(re.body, "secret") {
			t.Errorf("%s: %+v", path, re)
		}
	}
	s.load(s.directives + "\nhandle_errors {\nrespond \"our page {err.status_code}\"\n}")
	s.want(s.get("/s.php"), 404, "our page 404")
	s.want(s.get("/index.php"), 200, "a{}")

	s.load(fmt.Sprintf("root * %s\n@php path *.php\nreverse_proxy @php %s {\ntransport sluice {\npreset php\nroot %s\n}\n}\nfile_server", root, addr, root))
	if re := s.get("/index.php"); re.status != 302 || re.header.Get("Location") != "/style.css?v=1" {
		t.Errorf("%+v", re)
	}
}
