//go:build linux

package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
	"github.com/sluice-proxy/sluice/integration/internal/freeport"
	"github.com/sluice-proxy/sluice/integration/says"
)

// recorder is an application that keeps what it is sent.
type recorder struct {
	mu     sync.Mutex
	params []string // PARAMS of the requests, undecoded
	roles  []fcgi.Role
	answer string
}

func (a *recorder) serve(c net.Conn) {
	defer c.Close()
	var params []byte
	for {
		var head [fcgi.HeaderLen]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return
		}
		h, err := fcgi.DecodeHeader(head[:])
		content := make([]byte, int(h.ContentLength)+int(h.PaddingLength))
		if _, readErr := io.ReadFull(c, content); err != nil || readErr != nil {
			return
		}
		content = content[:h.ContentLength]
		role := fcgi.RoleResponder
		switch {
		case h.Type == fcgi.TypeBeginRequest:
			begin, err := fcgi.DecodeBeginRequest(content)
			if err != nil {
				return
			}
			role = begin.Role
			a.mu.Lock()
			a.roles = append(a.roles, role)
			a.mu.Unlock()
		case h.Type == fcgi.TypeGetValues:
			if _, err := c.Write(fcgi.AppendGetValuesResult(nil)); err != nil {
				return
			}
		case h.Type == fcgi.TypeParams:
			params = append(params, content...)
		case h.Type == fcgi.TypeStdin && len(content) == 0:
			a.mu.Lock()
			a.params = append(a.params, string(params))
			answer := fcgi.AppendStream(nil, fcgi.TypeStdout, h.RequestID, []byte(a.answer))
			a.mu.Unlock()
			params = nil
			answer = fcgi.AppendEndRequest(fcgi.AppendStreamEnd(answer, fcgi.TypeStdout, h.RequestID), h.RequestID, fcgi.EndRequest{})
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	}
}

// last returns the variables of the last request, in their order.
func (a *recorder) last(t *testing.T) (list []string) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	for rest := []byte(a.params[len(a.params)-1]); len(rest) > 0; {
		name, value, after, err := fcgi.DecodePair(rest)
		if err != nil {
			t.Fatal(err)
		}
		list, rest = append(list, string(name)+"="+string(value)), after
	}
	return list
}

// startRecorder starts one, and returns its socket.
func startRecorder(t *testing.T, answer string) (*recorder, string) {
	t.Helper()
	a := &recorder{answer: answer}
	path := filepath.Join(socketDir(t), "app")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go a.serve(c)
		}
	}()
	if err := exec.Command("chmod", "0777", filepath.Dir(path), path).Run(); err != nil {
		t.Fatal(err)
	}
	return a, path
}

// What a web server sends reaches the application through Sluice as it does without: every
// variable, in the same order, and twice if it is sent twice.
func TestWebServerVariables(t *testing.T) {
	app, direct := startRecorder(t, "Content-Type: text/plain\r\n\r\nok")
	_, sockets := webGate(t, backend{addr: "unix:" + direct, workers: 4}, "--env", "SITE=own")
	for _, w := range webServers {
		if w.scgi {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			ask := func(socket string) []string {
				s := newSite(t, w.start(t, socket, testdata(t, "")))
				r := s.request(t, http.MethodPost, "/routes.php/a%20b//c?d=%20e", strings.NewReader("body"))
				r.Header.Set("X-Odd_Name", "1")
				r.Header.Set("Cookie", "a=b; c=d")
				r.Host = "wiki.example.org:81"
				if resp, body := s.do(t, r); resp.StatusCode != http.StatusOK || body != "ok" {
					t.Fatalf("%s %q", resp.Status, body)
				}
				list := app.last(t)
				for i, v := range list {
					for _, name := range []string{"REMOTE_PORT=", "SERVER_PORT=", "HTTP_X_FORWARDED_PORT="} {
						if strings.HasPrefix(v, name) {
							list[i] = name
						}
					}
				}
				return list
			}
			want, got := append(ask(direct), "SITE=own"), ask(sockets[false])
			if !slices.Equal(got, want) {
				t.Errorf("the application has\n%q\nwithout Sluice\n%q", got, want)
			}
			if strings.HasPrefix(w.name, "nginx") && !(slices.Contains(got, "TWICE=one") && slices.Contains(got, "TWICE=two")) {
				t.Errorf("a variable that was sent twice was not: %q", got)
			}
		})
	}
}

// A client that leaves a long-poll frees its place at once, if the web server says so: it aborts
// the request, or closes the connection.
func TestWebServerClientLeaves(t *testing.T) {
	t.Parallel() // it waits most of the time
	be := startFPM(t, fpmOptions{root: testdata(t, ""), workers: 2})
	gate, sockets := webGate(t, be)
	side := gate.side(t)
	for _, w := range webServers {
		t.Run(w.name, func(t *testing.T) {
			s := newSite(t, w.start(t, sockets[w.scgi], be.root)+be.prefix)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			g := newGate(t)
			polls := s.background(t, ctx, "/wait?gate="+g.dir)
			g.entered(t, 1)
			inFlight := func(want int64) {
				t.Helper()
				eventually(t, "requests are in flight", func() error {
					if s := readState(t, side); s.InFlight != want {
						return fmt.Errorf("%d, want %d", s.InFlight, want)
					}
					return nil
				})
			}
			inFlight(1)
			leave()
			if o := <-polls; !errors.Is(o.err, context.Canceled) {
				t.Fatal(o.err)
			}
			if !w.deaf {
				inFlight(0)
			}
			g.pass(t)
			inFlight(0)
			if got := s.get(t, "/hello"); got != "hello\n" {
				t.Errorf("afterwards got %q", got)
			}
		})
	}
}

// An answer that is truncated never looks complete, whether its length is known or not: but
// lighttpd ends one of unknown length as if it were, whatever is behind it.
func TestWebServerTruncated(t *testing.T) {
	cut := make(chan struct{}, 1) // not before the client has the header: what comes at once is a 502
	app := &says.App{Answers: map[string]says.Answer{
		"routes.php": {HangUp: true, Next: cut, Parts: []string{"Content-Type: text/event-stream\r\n\r\n" + strings.Repeat("x", 1000), strings.Repeat("y", 1000)}},
	}}
	path := filepath.Join(socketDir(t), "app")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	app.Start(l)
	t.Cleanup(app.Close)
	_, sockets := webGate(t, backend{addr: "unix:" + path, workers: 4})
	for _, w := range webServers {
		t.Run(w.name, func(t *testing.T) {
			s := newSite(t, w.start(t, sockets[w.scgi], testdata(t, "")))
			resp := s.open(t, t.Context(), "/routes.php/x")
			defer resp.Body.Close()
			cut <- struct{}{}
			body, err := io.ReadAll(resp.Body)
			if resp.StatusCode != http.StatusOK || !strings.HasPrefix(string(body), "xxx") {
				t.Fatalf("%v, %d bytes, %v", resp, len(body), err)
			}
			known := w.scgi || w.name == "lighttpd" // docs/protocols.md says so
			if err == nil && !known {
				t.Errorf("%d bytes end cleanly", len(body))
			}
		})
	}
}

// What the gate refuses is a 503 with Retry-After behind each web server, and so is a request
// that comes while Sluice drains; one that was there before is answered.
func TestWebServerDrain(t *testing.T) {
	for _, w := range webServers {
		t.Run(w.name, func(t *testing.T) {
			be := startFPM(t, fpmOptions{root: testdata(t, ""), workers: 2})
			gate, sockets := webGate(t, be)
			s := newSite(t, w.start(t, sockets[w.scgi], be.root)+be.prefix)
			if got := s.get(t, "/hello"); got != "hello\n" {
				t.Fatalf("got %q", got)
			}
			g := newGate(t)
			there := s.background(t, t.Context(), "/wait?gate="+g.dir)
			g.entered(t, 1)
			gate.signal(t, syscall.SIGTERM)
			g.pass(t)
			if o := <-there; o.err != nil || o.status != http.StatusOK {
				t.Errorf("%d %q %v", o.status, o.body, o.err)
			}
			if err := gate.wait(t); err != nil {
				t.Errorf("Sluice ended: %v", err)
			}
		})
	}
}

// lighttpd asks a FastCGI application whether a request is allowed; one that is not gets the
// application's answer.
func TestAuthorizer(t *testing.T) {
	app, path := startRecorder(t, "Status: 200 OK\r\nVariable-WHO: ann\r\n\r\n")
	_, sockets := webGate(t, backend{addr: "unix:" + path, workers: 4})
	root, dir := t.TempDir(), socketDir(t)
	write(t, filepath.Join(root, "secret.txt"), "secret")
	addr, release, err := freeport.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	host, port, _ := strings.Cut(addr, ":")
	write(t, filepath.Join(dir, "conf"), `
server.document-root = %q
server.bind = %q
server.port = %s
server.modules = ("mod_fastcgi")
server.errorlog = "/dev/stderr"
mimetype.assign = ( ".txt" => "text/plain" )
fastcgi.server = ( "/" => (( "socket" => %q, "mode" => "authorizer", "check-local" => "disable", "docroot" => %q )) )
`, root, host, port, sockets[false], root)
	p := start(t, exec.Command(need(t, "lighttpd", "/usr/sbin/lighttpd"), "-D", "-f", filepath.Join(dir, "conf")))
	awaitAddress(t, p, "tcp", addr)
	s := newSite(t, "http://"+addr)
	if got := s.get(t, "/secret.txt"); got != "secret" {
		t.Errorf("got %q", got)
	}
	app.mu.Lock()
	app.answer = "Status: 403 Forbidden\r\nContent-Type: text/plain\r\n\r\nno"
	role := app.roles[len(app.roles)-1]
	app.mu.Unlock()
	if role != fcgi.RoleAuthorizer {
		t.Errorf("the application was asked in role %d", role)
	}
	if resp, body := s.do(t, s.request(t, http.MethodGet, "/secret.txt", nil)); resp.StatusCode != http.StatusForbidden || body != "no" {
		t.Errorf("%s %q", resp.Status, body)
	}
}

// An application in any protocol is what it is behind nginx alone: with bodies, long and short.
func TestWebServerApplications(t *testing.T) {
	t.Parallel()
	for name, backend := range map[string]func(testing.TB) backend{
		"libfcgi": func(t testing.TB) backend { return startLibfcgi(t, 4) },
		"scgi":    func(t testing.TB) backend { return startSCGI(t, 4) },
		"uwsgi":   func(t testing.TB) backend { return startUWSGISocket(t, "--socket", 4) },
	} {
		t.Run(name, func(t *testing.T) {
			be := backend(t)
			gate, sockets := webGate(t, be)
			for _, w := range webServers[:3] { // nginx
				s := newSite(t, w.start(t, sockets[w.scgi], "/")+"/routes.php")
				conformBodies(t, s)
				sendTokens(t, s, 50)
			}
			gate.signal(t, syscall.SIGTERM)
			if err := gate.wait(t); err != nil {
				t.Errorf("Sluice ended: %v", err)
			}
		})
	}
}

// The application's standard error is in nginx's log if that is wanted, and always in Sluice's.
func TestWebServerStderr(t *testing.T) {
	for _, wanted := range []bool{false, true} {
		be := startLibfcgi(t, 2)
		gate, sockets := webGate(t, be, fmt.Sprintf("--web-server-stderr=%v", wanted))
		w := webServers[0]
		url, process := w.run(t, sockets[false], "/")
		newSite(t, url+"/routes.php").get(t, "/stderr?n=40")
		eventually(t, "Sluice's log has it", func() error {
			if !strings.Contains(gate.output.String(), "application stderr") {
				return errNotYet
			}
			return nil
		})
		if wanted {
			eventually(t, "nginx's log has it", func() error {
				if !strings.Contains(process.output.String(), "FastCGI sent in stderr") {
					return errNotYet
				}
				return nil
			})
		} else if strings.Contains(process.output.String(), "FastCGI sent in stderr") {
			t.Errorf("nginx's log has it: %s", process.output)
		}
	}
}

// An answer that the end of Sluice cuts does not look complete either.
func TestWebServerCut(t *testing.T) {
	for _, w := range webServers {
		if w.scgi || w.name == "lighttpd" {
			continue // docs/protocols.md says why
		}
		t.Run(w.name, func(t *testing.T) {
			be := startFPM(t, fpmOptions{root: testdata(t, ""), workers: 2})
			gate, sockets := webGate(t, be, "--drain-timeout", "100ms")
			s := newSite(t, w.start(t, sockets[false], be.root)+be.prefix)
			g := newGate(t)
			resp := s.open(t, t.Context(), "/stream?n=3&kind=events&gate="+g.dir)
			defer resp.Body.Close()
			wantNext(t, resp.Body, "data: 0\n\n")
			gate.signal(t, syscall.SIGTERM)
			if rest, err := io.ReadAll(resp.Body); err == nil {
				t.Errorf("the answer ends cleanly after %q", rest)
			}
		})
	}
}
