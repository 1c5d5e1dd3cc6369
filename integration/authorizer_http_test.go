//go:build linux

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// httpAuthorizer is a running auth_request.py.
type httpAuthorizer struct {
	*process
	addr, log string
}

func startHTTPAuthorizer(t testing.TB) httpAuthorizer {
	t.Helper()
	a := httpAuthorizer{addr: freeAddress(t), log: filepath.Join(t.TempDir(), "asked")}
	_, port, err := net.SplitHostPort(a.addr)
	if err != nil {
		t.Fatal(err)
	}
	a.process = start(t, exec.Command(need(t, "/usr/bin/python3", "python3"), testdata(t, "auth_request.py"), port, a.log))
	awaitAddress(t, a.process, "tcp", a.addr)
	return a
}

// asked returns the last question, its fields by their names in lower case.
func (a httpAuthorizer) asked(t testing.TB) (q map[string]string) {
	t.Helper()
	text, err := os.ReadFile(a.log)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	if err := json.Unmarshal(lines[len(lines)-1], &q); err != nil {
		t.Fatal(err)
	}
	return q
}

func TestHTTPAuthorizerDecides(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, int) backend{"FastCGI": startPerl, "SCGI": startPerlSCGI, "HTTP": startWaitress} {
		t.Run(name, func(t *testing.T) {
			authorizer, be := startHTTPAuthorizer(t), start(t, 2)
			gate := startSluice(t, append(be.args(), "--authorizer", "http://"+authorizer.addr+"/auth", "--authorizer-workers", "2")...)
			s := newSite(t, gate.url)
			for _, method := range []string{"GET", "HEAD", "POST"} {
				resp, body := s.asUser(t, "", method, "/params/x?q=1", nil)
				if want := map[bool]string{false: "log in\n"}[method == "HEAD"]; resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") != "Bearer" || body != want {
					t.Errorf("%s without a user: %s %v %q", method, resp.Status, resp.Header, body)
				}
				if resp, _ = s.asUser(t, "jane", method, "/params/x?q=1", nil); resp.StatusCode != 200 {
					t.Errorf("%s: %s", method, resp.Status)
				}
			}
			if resp, _ := s.asUser(t, "", "GET", "/params/x?redirect", nil); resp.StatusCode != 302 || resp.Header.Get("Location") != "/login?rd="+gate.url+"/params/x?redirect" {
				t.Errorf("%s %v", resp.Status, resp.Header)
			}
			authorizerBeforeBody(t, s, http.StatusUnauthorized)
			for range 20 { // over kept connections
				r := s.request(t, http.MethodGet, "/params/x?q=1", nil)
				r.Header.Set("Cookie", "user=jane")
				for _, name := range []string{"X-Auth-Request-User", "X-Auth-Request-Email", "Remote-User", "Remote-Groups", "X-Remote-User"} {
					r.Header.Set(name, "forged")
				}
				resp, body := s.do(t, r)
				got := vars(body)
				for name, want := range map[string]string{
					"HTTP_X_AUTH_REQUEST_USER": "jane", "HTTP_X_AUTH_REQUEST_GROUPS": "staff", "HTTP_X_AUTH_REQUEST_EMAIL": "", "HTTP_REMOTE_USER": "", "HTTP_REMOTE_GROUPS": "",
				} {
					if got[name] != want {
						t.Errorf("%s is %q, want %q", name, got[name], want)
					}
				}
				if user := map[bool]string{true: got["HTTP_X_REMOTE_USER"], false: got["REMOTE_USER"]}[be.isHTTP]; resp.StatusCode != 200 || user != "jane" || resp.Header.Get("Set-Cookie") != "renewed=1" {
					t.Errorf("%s %v, user %q", resp.Status, resp.Header, user)
				}
			}
			data := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
			if resp, body := s.asUser(t, "jane", "POST", "/echo", bytes.NewReader(data)); resp.StatusCode != 200 || body != string(data) {
				t.Errorf("%s, %d bytes", resp.Status, len(body))
			}
			resp, body := s.asUser(t, "jane", "GET", "/params/?die", nil)
			if resp.StatusCode != 502 || !strings.Contains(body, "The authorizer") || !strings.Contains(resp.Header.Get("Proxy-Status"), `details="authorizer"`) {
				t.Errorf("%s %v %q", resp.Status, resp.Header, body)
			}
			_ = syscall.Kill(-authorizer.Process.Pid, syscall.SIGKILL)
			<-authorizer.ended
			eventually(t, "it is known that there is no authorizer", func() error {
				resp, body := s.asUser(t, "jane", "GET", "/hello", nil)
				if resp.StatusCode != 502 || !strings.Contains(body, "The authorizer is not running.") {
					return fmt.Errorf("%s %q", resp.Status, body)
				}
				return nil
			})
		})
	}
}

// The authorizer is asked what nginx asks it, with the lines that its users have for it.
func TestHTTPAuthorizerAsByNginx(t *testing.T) {
	t.Parallel()
	authorizer, be := startHTTPAuthorizer(t), startPerl(t, 2)
	direct := newSite(t, startSluice(t, be.args()...).url)
	byNginx := newSite(t, startProxy(t, direct.url, fmt.Sprintf(`
		auth_request /auth;
	}
	location = /auth {
		internal;
		proxy_pass http://%s/auth;
		proxy_pass_request_body off;
		proxy_set_header Content-Length "";
		proxy_set_header Host $http_host;
		proxy_set_header X-Real-IP $remote_addr;
		proxy_set_header X-Original-URI $request_uri;
		proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
		proxy_set_header X-Original-Method $request_method;
		proxy_set_header X-Forwarded-Method $request_method;
		proxy_set_header X-Forwarded-Proto $scheme;
		proxy_set_header X-Forwarded-Host $http_host;
		proxy_set_header X-Forwarded-Uri $request_uri;
		proxy_set_header X-Forwarded-For $remote_addr;`, authorizer.addr)))
	bySluice := newSite(t, startSluice(t, append(be.args(), "--authorizer", "http://"+authorizer.addr+"/auth")...).url)
	for _, method := range []string{"GET", "HEAD", "POST"} {
		ask := func(s site) map[string]string {
			r := s.request(t, method, "/params/x?q=%20a", nil)
			r.Host = "wiki.example.org"
			for name, value := range map[string]string{"Cookie": "user=jane", "Authorization": "Bearer x", "Accept": "text/html", "X-Original-URI": "/forged", "X-Custom": "y"} {
				r.Header.Set(name, value)
			}
			if resp, _ := s.do(t, r); resp.StatusCode != 200 {
				t.Errorf("%s: %s", method, resp.Status)
			}
			return authorizer.asked(t)
		}
		want, got := ask(byNginx), ask(bySluice)
		delete(want, "connection") // nginx does not keep it
		if got["x-forwarded-port"] != "80" {
			t.Errorf("X-Forwarded-Port: %s", got["x-forwarded-port"])
		}
		delete(got, "x-forwarded-port")
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: asked\n%v\nby nginx\n%v", method, got, want)
		}
	}
}

// An answer that says for how long it holds is not asked for again meanwhile: not for the same client,
// path and method, and only for these.
func TestHTTPAuthorizerIsRemembered(t *testing.T) {
	t.Parallel()
	authorizer, be := startHTTPAuthorizer(t), startPerl(t, 2)
	gate := startSluice(t, append(be.args(), "--authorizer", "http://"+authorizer.addr+"/auth")...)
	s := newSite(t, gate.url)
	questions := func() int {
		text, err := os.ReadFile(authorizer.log)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Count(text, []byte("\n"))
	}
	ask := func(user, route string) {
		t.Helper()
		if resp, body := s.asUser(t, user, http.MethodGet, route, nil); resp.StatusCode != http.StatusOK || vars(body)["REMOTE_USER"] != user {
			t.Errorf("%s, user %q, want %q", resp.Status, vars(body)["REMOTE_USER"], user)
		}
	}
	began := time.Now()
	for range 5 {
		ask("jane", "/params/x?hold")
	}
	once := time.Since(began) < 2*time.Second
	if n := questions(); once && n != 1 {
		t.Errorf("%d questions, want 1", n)
	}
	before := questions()
	ask("joe", "/params/x?hold")
	ask("jane", "/params/y?hold")
	ask("jane", "/params/x?q=1")
	ask("jane", "/params/x?q=1")
	if n := questions() - before; n != 4 {
		t.Errorf("%d questions about others, want 4", n)
	}
	if resp, _ := s.asUser(t, "", http.MethodGet, "/params/x?hold", nil); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("nobody: %s", resp.Status)
	}
	time.Sleep(2 * time.Second)
	before = questions()
	ask("jane", "/params/x?hold")
	if n := questions() - before; n != 1 {
		t.Errorf("%d questions after it held, want 1", n)
	}
}
