//go:build linux

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// authorizers are the commands of real ones.
var authorizers = map[string]func(t testing.TB) *exec.Cmd{
	"libfcgi": func(t testing.TB) *exec.Cmd { return exec.Command(compiled(t, "authorizer.c")) },
	"Perl":    func(t testing.TB) *exec.Cmd { return exec.Command(needPerl(t, "FCGI"), testdata(t, "authorizer.pl")) },
}

// startAuthorizer starts one with that many workers. hold is the file that it waits for.
func startAuthorizer(t testing.TB, name string, workers int) (p *process, addr string, hold *os.File) {
	t.Helper()
	hold, err := os.Create(filepath.Join(t.TempDir(), "hold"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hold.Close() })
	cmd := authorizers[name](t)
	cmd.Env = append(os.Environ(), "HOLD="+hold.Name(), "WORKERS="+strconv.Itoa(workers))
	p, addr = startOnSocket(t, cmd)
	return p, addr, hold
}

// asUser sends a request of a user, "" for one who has not logged in.
func (s site) asUser(t testing.TB, user, method, route string, body io.Reader) (*http.Response, string) {
	t.Helper()
	r := s.request(t, method, route, body)
	if user != "" {
		r.Header.Set("Cookie", "user="+user)
	}
	return s.do(t, r)
}

func TestAuthorizerDecides(t *testing.T) {
	t.Parallel()
	for name := range authorizers {
		t.Run(name, func(t *testing.T) {
			authorizer, addr, _ := startAuthorizer(t, name, 2)
			be := startPerl(t, 2)
			access := filepath.Join(t.TempDir(), "access")
			gate := startSluice(t, append(be.args(), "--authorizer", addr, "--authorizer-workers", "2", "--access-log", access, "--env", "FIXED=configured")...)
			s := newSite(t, gate.url)

			for _, method := range []string{"GET", "HEAD", "POST"} {
				resp, body := s.asUser(t, "", method, "/params/x?q=1", nil)
				want := "<p>log in\n"
				if method == "HEAD" {
					want = ""
				}
				if resp.StatusCode != 302 || resp.Header.Get("Location") != "/login?to=/params/x?q=1" || len(resp.Header["Set-Cookie"]) != 2 || body != want || resp.Header.Get("Variable-Secret") != "" {
					t.Errorf("%s without a user: %s %v %q", method, resp.Status, resp.Header, body)
				}
			}
			for range 20 { // also over kept connections, where there are some
				r := s.request(t, http.MethodGet, "/params/x?q=1", nil)
				r.Header.Set("Cookie", "user=jane")
				for _, name := range []string{"Remote-User", "Shib-Session-ID", "Variable-SAW", "SAW", "FIXED"} {
					r.Header.Set(name, "forged")
				}
				resp, body := s.do(t, r)
				got := vars(body)
				for name, want := range map[string]string{
					"REMOTE_USER": "jane", "AUTH_TYPE": "cookie", "Shib-Session-ID": "_1", "SAW": "GET //", "FIXED": "configured",
					"PATH_INFO": "/params/x", "SCRIPT_NAME": "", "HTTP_REMOTE_USER": "forged", "FCGI_ROLE": "RESPONDER",
				} {
					if got[name] != want {
						t.Errorf("%s is %q, want %q", name, got[name], want)
					}
				}
				if resp.StatusCode != 200 || got["HTTP_HOST"] == "forged" {
					t.Errorf("%s %v", resp.Status, got)
				}
			}
			data := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
			if resp, body := s.asUser(t, "jane", "POST", "/echo", bytes.NewReader(data)); resp.StatusCode != 200 || body != string(data) {
				t.Errorf("%s, %d bytes", resp.Status, len(body))
			}
			authorizerBeforeBody(t, s, http.StatusFound)

			// One that ends in the middle of an answer lets nobody pass.
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
			eventually(t, "the access log says who asked, and what the authorizer has decided", func() error { // nothing waits for it to be written
				if text, err := os.ReadFile(access); err != nil || !strings.Contains(string(text), `"user":"jane"`) || !strings.Contains(string(text), `"authorizer":"failed"`) {
					return fmt.Errorf("%v, %s", err, text)
				}
				return nil
			})
		})
	}
}

// authorizerBeforeBody sends a request that may not pass, and expects the answer before the body is
// asked for.
func authorizerBeforeBody(t *testing.T, s site, denied int) {
	t.Helper()
	r := s.request(t, http.MethodPost, "/body", io.LimitReader(endless{}, 1<<20))
	r.ContentLength = 1 << 20
	r.Header.Set("Expect", "100-continue")
	asked := false
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{Got100Continue: func() { asked = true }}))
	if resp, _ := s.do(t, r); resp.StatusCode != denied || asked {
		t.Errorf("%s, asked for the body: %t", resp.Status, asked)
	}
}

// endless is a body without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// A slow authorizer holds up those who ask it, and nobody else; a client that leaves gives its place
// to another, and the application's workers stay free.
func TestAuthorizerIsSlow(t *testing.T) {
	_, addr, hold := startAuthorizer(t, "libfcgi", 2)
	be := startPerl(t, 2)
	gate := startSluice(t, append(be.args(), "--authorizer", addr, "--authorizer-workers", "2", "--authorizer-timeout", "20s", "--authorizer-except", "/hello", "--abandoned-timeout", "10s")...)
	s := newSite(t, gate.url)
	if err := syscall.Flock(int(hold.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	results := make(chan int)
	for range 6 {
		go func() {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/params/?hold", nil)
			if err != nil {
				t.Error(err)
			}
			r.Header.Set("Cookie", "user=jane")
			resp, _, err := s.try(r)
			if err != nil {
				results <- 0
				return
			}
			results <- resp.StatusCode
		}()
	}
	gate.awaitAuthorizer(t, 2, 4)
	if got := s.get(t, "/hello"); got != "hello\n" {
		t.Errorf("a path that is excepted: %q", got)
	}
	leave()
	for range 6 {
		if code := <-results; code != 0 {
			t.Errorf("%d for a client that has left", code)
		}
	}
	gate.awaitAuthorizer(t, 2, 0)
	if err := syscall.Flock(int(hold.Fd()), syscall.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	gate.awaitAuthorizer(t, 0, 0)
	if resp, _ := s.asUser(t, "jane", "GET", "/params/?hold", nil); resp.StatusCode != 200 {
		t.Errorf("%s", resp.Status)
	}
}

// awaitAuthorizer waits until so many requests are put to the authorizer, and so many wait for that.
func (s sluice) awaitAuthorizer(t testing.TB, inUse, waiting int) {
	t.Helper()
	url := "http://" + telling.FindStringSubmatch(s.output.String())[1]
	eventually(t, fmt.Sprintf("%d requests are put to the authorizer, %d wait", inUse, waiting), func() error {
		resp, err := http.Get(url + "/status.json")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		var status struct {
			Authorizer struct {
				InUse   int `json:"in_use"`
				Waiting int
			}
			Gate struct {
				InUse int `json:"in_use"`
			}
		}
		if err := json.NewDecoder(resp.Body).Decode(&status); err != nil {
			return err
		}
		if a := status.Authorizer; a.InUse != inUse || a.Waiting != waiting || status.Gate.InUse != 0 {
			return fmt.Errorf("%+v", status)
		}
		return nil
	})
}

// The time of an authorizer is limited: 504, and the application is not asked.
func TestAuthorizerIsSilent(t *testing.T) {
	_, addr, hold := startAuthorizer(t, "Perl", 1)
	be := startPerl(t, 1)
	gate := startSluice(t, append(be.args(), "--authorizer", addr, "--authorizer-timeout", "200ms")...)
	s := newSite(t, gate.url)
	if err := syscall.Flock(int(hold.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if resp, body := s.asUser(t, "jane", "GET", "/params/?hold", nil); resp.StatusCode != 504 || !strings.Contains(body, "The authorizer did not answer in time.") || time.Since(began) < 200*time.Millisecond {
		t.Errorf("%s after %v: %q", resp.Status, time.Since(began), body)
	}
}

// The authorizer speaks FastCGI, whatever the application speaks.
func TestAuthorizerOfOtherProtocols(t *testing.T) {
	_, addr, _ := startAuthorizer(t, "libfcgi", 2)
	for name, be := range map[string]backend{"SCGI": startPerlSCGI(t, 2), "uwsgi": startUWSGI(t, 2)} {
		t.Run(name, func(t *testing.T) {
			gate := startSluice(t, append(be.args(), "--authorizer", addr, "--authorizer-workers", "2")...)
			s := newSite(t, gate.url)
			if resp, _ := s.asUser(t, "", "GET", "/params/", nil); resp.StatusCode != 302 {
				t.Errorf("without a user: %s", resp.Status)
			}
			resp, body := s.asUser(t, "jane", "GET", "/params/", nil)
			if got := vars(body); resp.StatusCode != 200 || got["REMOTE_USER"] != "jane" || got["Shib-Session-ID"] != "_1" {
				t.Errorf("%s %v", resp.Status, got)
			}
		})
	}
}
