package bridge

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// newGuardedRig starts a bridge in front of an application that echoes, and of an authorizer that
// plays script.
func newGuardedRig(t *testing.T, cfg Config, script fcgitest.Script) (r *rig, authorizer *fcgitest.Peer) {
	t.Helper()
	answers := fcgitest.Script(fcgitest.Echo)
	if cfg.Protocol == HTTP {
		answers = httpAnswers(func(r *http.Request, body string) []string { return []string{sized(told(r))} })
	}
	application := fcgitest.Start(t, answers)
	authorizer = fcgitest.Start(t, script)
	authorizer.Values(fcgitest.ValuesNo)
	cfg.dial = func(ctx context.Context, _, addr string) (net.Conn, error) {
		if addr == "/run/authorizer.sock" {
			return authorizer.Dial(ctx)
		}
		return application.Dial(ctx)
	}
	if cfg.ApplicationConfig.Authorizer == nil {
		cfg.ApplicationConfig.Authorizer = new(config.Authorizer)
	}
	if cfg.ApplicationConfig.Authorizer.Address == "" {
		cfg.ApplicationConfig.Authorizer.Address = "unix:/run/authorizer.sock"
	}
	r = startRig(t, cfg)
	r.peer = application
	t.Cleanup(func() { r.wantNothingAsked() })
	return r, authorizer
}

// wantNothingAsked checks that nothing is held of the authorizer.
func (r *rig) wantNothingAsked() {
	r.t.Helper()
	time.Sleep(31 * time.Second) // an authorizer that is silent is at work for as long as Timeouts.Abandoned
	synctest.Wait()
	s := r.b.app.app.Authorizer
	if g, p := s.Gate.Snapshot(), s.Pool.Snapshot(); g.InUse != 0 || g.Waiting != 0 || p.Waiting != 0 || len(p.Instances) > 0 && p.Instances[0].Busy != 0 {
		r.t.Errorf("held of the authorizer at the end: %+v, %+v", g, p)
	}
}

// passport lets those pass who have a cookie.
var passport = fcgitest.Each(func(s *fcgitest.Session, q *fcgitest.Request) {
	answer := "Status: 302 Found\r\nLocation: /login?to=" + q.Param("REQUEST_URI") + "\r\nSet-Cookie: visit=1\r\nContent-Type: text/html\r\n\r\nlog in"
	if user, ok := strings.CutPrefix(q.Param("HTTP_COOKIE"), "user="); ok {
		answer = "Status: 200 OK\r\nVariable-REMOTE_USER: " + user + "\r\nVariable-eppn: " + user + "@example.org\r\n\r\nwelcome"
	}
	s.Send(fcgitest.Out(q.ID, answer), fcgitest.End(q.ID))
})

func as(user string, method, path, body string) *http.Request {
	req, err := http.NewRequest(method, "http://app.test"+path, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	if user != "" {
		req.Header.Set("Cookie", "user="+user)
	}
	return req
}

// Who may pass gets the application's answer, and the application knows who it is. Who may not
// gets the authorizer's.
func TestAuthorizer(t *testing.T) {
	for _, method := range []string{"GET", "HEAD", "POST"} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, authorizer := newGuardedRig(t, Config{}, passport)
				body := map[string]string{"POST": "body"}[method]
				re := r.send(as("", method, "/page?a=b", body))
				want := map[bool]string{true: "", false: "log in"}[method == "HEAD"]
				if re.status != 302 || re.header.Get("Location") != "/login?to=/page?a=b" || re.header.Get("Set-Cookie") != "visit=1" || re.body != want || re.err != nil {
					t.Errorf("%+v", re)
				}
				if o := r.outcome(); o.Authorizer != "denied" || o.Instance != "unix:/run/authorizer.sock" || r.peer.Accepted() != 0 || o.BytesIn != 0 {
					t.Errorf("%+v, %d connections to the application", o, r.peer.Accepted())
				}
				re = r.send(as("jane", method, "/page", body))
				if want = method + " /page " + map[bool]string{true: "4"}[method == "POST"] + "\n" + body; method == "HEAD" {
					want = ""
				}
				if re.status != 200 || re.body != want || len(re.header["Set-Cookie"]) > 0 {
					t.Errorf("%+v, want %q", re, want)
				}
				o := r.outcome()
				if o.Authorizer != "granted" || o.User != "jane" || o.Instance != "unix:/run/app.sock" || o.Attempts != 1 {
					t.Errorf("%+v", o)
				}
				asked, told := authorizer.Requests(), r.peer.Requests()
				if len(asked) != 2 || asked[1].Role != 2 || len(asked[1].Stdin) != 0 || asked[1].Param("CONTENT_LENGTH") != "" || asked[1].Param("SCRIPT_NAME") != "" || asked[1].Param("REQUEST_METHOD") != method {
					t.Errorf("asked %+v", asked)
				}
				if len(told) != 1 || told[0].Role != 1 || told[0].Param("REMOTE_USER") != "jane" || told[0].Param("eppn") != "jane@example.org" || string(told[0].Stdin) != body {
					t.Errorf("told %+v", told)
				}
				if n := authorizer.Accepted(); n != 1 {
					t.Errorf("%d connections to the authorizer, want one that is kept", n)
				}
			})
		})
	}
}

// A body is not asked for before the request may pass, and a denied one is not read.
func TestAuthorizerBeforeTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, authorizer := newGuardedRig(t, Config{}, fcgitest.Each(func(s *fcgitest.Session, q *fcgitest.Request) {
			s.HoldFor(time.Second)
			s.Send(fcgitest.Out(q.ID, "Variable-A: b\n\n"), fcgitest.End(q.ID))
		}))
		c := r.raw()
		const size = 1 << 20
		fmt.Fprintf(c, "PUT /file HTTP/1.1\r\nHost: app.test\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", size)
		began := time.Now()
		from := bufio.NewReader(c)
		line, err := from.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") || time.Since(began) != time.Second {
			t.Errorf("%q, %v, after %v", line, err, time.Since(began))
		}
		_, _ = from.ReadString('\n')
		go io.WriteString(c, strings.Repeat("x", size))
		resp, err := http.ReadResponse(from, nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 || len(text) != len("PUT /file 1048576\n")+size {
			t.Errorf("%d, %d bytes, %v", resp.StatusCode, len(text), err)
		}
		c.Close()
		if n := len(authorizer.Requests()); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

// No more requests than the authorizer has workers are put to it; those who wait for long are
// refused, and a client that leaves frees its place. The application is not touched.
func TestAuthorizerIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		cfg := Config{ApplicationConfig: ApplicationConfig{Authorizer: &config.Authorizer{Workers: 2}}}
		cfg.ApplicationConfig.Timeouts.Authorizer = config.Duration(time.Minute)
		r, authorizer := newGuardedRig(t, cfg, fcgitest.Each(func(s *fcgitest.Session, q *fcgitest.Request) {
			<-release
			s.Send(fcgitest.Out(q.ID, "\n"), fcgitest.End(q.ID))
		}))
		var waits []func() reply
		for range 2 + 2*16 {
			waits = append(waits, r.start("GET", "/", nil))
		}
		if n := len(authorizer.Requests()); n != 2 || authorizer.MostOpen() > 2 {
			t.Errorf("%d requests at once", n)
		}
		re := r.get("/")
		if re.status != 503 || re.header.Get("Proxy-Status") != `sluice; error=connection_limit_reached; details="authorizer"` || re.header.Get("Retry-After") == "" || !strings.Contains(re.body, "The authorizer is busy") {
			t.Errorf("%+v", re)
		}
		if o := r.outcome(); o.Authorizer != "failed" || o.Refused == "" {
			t.Errorf("%+v", o)
		}
		close(release)
		for _, wait := range waits {
			if re := wait(); re.status != 200 {
				t.Errorf("%+v", re)
			}
		}
		if n := authorizer.MostOpen(); n > 2 {
			t.Errorf("%d connections to the authorizer", n)
		}
	})
}

func TestClientLeavesWhileTheAuthorizerIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newGuardedRig(t, Config{}, fcgitest.AnswerAfter(2*time.Second, "\n"))
		c := r.raw()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
		time.Sleep(100 * time.Millisecond)
		c.Close()
		if o := r.outcome(); o.Status != StatusClientClosed || o.Authorizer != "" {
			t.Errorf("%+v", o)
		}
		time.Sleep(3 * time.Second)
		if n := r.peer.Accepted(); n != 0 {
			t.Errorf("%d connections to the application", n)
		}
	})
}

// Nothing that a client sends is taken for what the authorizer gives.
func TestForgedVariables(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newGuardedRig(t, Config{}, fcgitest.Answer("Variable-A: b\nVariable-HTTP_COOKIE: forged\nVariable-SCRIPT_NAME: /other\n\n"))
		req := as("", "GET", "/page", "")
		for _, name := range []string{"Variable-Eppn", "Eppn", "Remote-User", "Remote_user", "A", "X-Remote-User"} {
			req.Header.Set(name, "forged")
		}
		if re := r.send(req); re.status != 200 {
			t.Fatalf("%+v", re)
		}
		told := r.peer.Requests()[0]
		for _, p := range told.Params {
			if p.Value == "forged" && !slices.Contains([]string{"HTTP_VARIABLE_EPPN", "HTTP_EPPN", "HTTP_REMOTE_USER", "HTTP_A", "HTTP_X_REMOTE_USER"}, p.Name) {
				t.Errorf("%s is the client's", p.Name)
			}
		}
		if told.Param("A") != "b" || told.Param("SCRIPT_NAME") != "" || told.Param("HTTP_COOKIE") != "" {
			t.Errorf("%+v", told.Params)
		}
	})
}

// Static files are no way past the authorizer, whoever sends them.
func TestAuthorizerOfFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		for _, name := range []string{"index.php", "style.css", "public/x.css"} {
			file := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(name), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		var r *rig
		cfg := Config{
			ApplicationConfig: ApplicationConfig{Preset: cgi.PresetPHP},
			SiteConfig:        SiteConfig{Root: root, Authorization: config.Authorization{Except: []string{"/public"}}},
		}
		cfg.ServeFile = func(w http.ResponseWriter, q *http.Request) (int, int64) {
			f := r.b.File(q)
			if f == nil {
				return 0, 0
			}
			f.ServeHTTP(w, q)
			return 200, 1
		}
		r, authorizer := newGuardedRig(t, cfg, passport)
		plain, err := http.NewRequest("GET", "http://app.test/style.css", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := r.b.StaticFile(plain); ok || r.b.File(plain) != nil {
			t.Error("a file can be had without the authorizer")
		}
		open := plain.Clone(t.Context())
		open.URL.Path, open.RequestURI = "/public/x.css", ""
		if _, ok := r.b.StaticFile(open); !ok {
			t.Error("a file that is excepted cannot be had")
		}
		for target, want := range map[string]int{"/style.css": 302, "/nothing.php": 302, "/index.php": 302} {
			if re := r.send(as("", "GET", target, "")); re.status != want {
				t.Errorf("%s: %+v", target, re)
			}
		}
		for target, want := range map[string]int{"/style.css": 200, "/nothing.php": 404, "/index.php": 200} {
			if re := r.send(as("jane", "GET", target, "")); re.status != want || target == "/style.css" && re.body != "style.css" {
				t.Errorf("%s: %+v", target, re)
			}
		}
		if n := len(authorizer.Requests()); n != 6 {
			t.Errorf("asked %d times", n)
		}
	})
}

// A body that comes with a request for a static file is the front's to drop, and the client's connection
// goes on.
func TestAuthorizerOfAFileWithABody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		if err := os.WriteFile(filepath.Join(root, "style.css"), []byte("style"), 0o644); err != nil {
			t.Fatal(err)
		}
		var r *rig
		cfg := Config{ApplicationConfig: ApplicationConfig{Preset: cgi.PresetPHP}, SiteConfig: SiteConfig{Root: root}}
		cfg.ServeFile = func(w http.ResponseWriter, q *http.Request) (int, int64) {
			r.b.File(q).ServeHTTP(w, q)
			return 200, 5
		}
		r, _ = newGuardedRig(t, cfg, passport)
		c := r.serveBy(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			r.b.ServeHTTP(w, q)
			time.Sleep(time.Millisecond) // whatever ends the connection has shown by then
		})})
		from := bufio.NewReader(c)
		for n := range 2 {
			io.WriteString(c, "GET /style.css HTTP/1.1\r\nHost: app.test\r\nCookie: user=jane\r\nContent-Length: 4\r\n\r\nbody")
			resp, err := http.ReadResponse(from, nil)
			if err != nil {
				t.Fatalf("request %d: %v, outcome %+v", n, err, r.outcome())
			}
			if text, err := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(text) != "style" || err != nil {
				t.Errorf("request %d: %d %q, %v", n, resp.StatusCode, text, err)
			}
		}
	})
}

// The target of a local redirect is asked about, with what the target is.
func TestAuthorizerOfALocalRedirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		application := fcgitest.Start(t, redirecting(map[string]string{"/from": "Location: /secret\n\n", "/secret": fcgitest.Page}))
		r, authorizer := newGuardedRig(t, Config{SiteConfig: SiteConfig{Authorization: config.Authorization{Paths: []string{"/secret"}}}}, passport)
		inner := r.cfg.dial
		r.cfg.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == "/run/app.sock" {
				return application.Dial(ctx)
			}
			return inner(ctx, network, addr)
		}
		r.renew()
		if re := r.send(as("", "GET", "/from", "")); re.status != 302 || !strings.HasPrefix(re.header.Get("Location"), "/login?to=/secret") {
			t.Errorf("%+v", re)
		}
		r.wantPage(r.send(as("jane", "GET", "/from", "")))
		if asked := authorizer.Requests(); len(asked) != 2 || asked[1].Param("REQUEST_URI") != "/secret" {
			t.Errorf("asked %d times", len(asked))
		}
	})
}

// Settings of an authorizer without its address are an error: nothing would be protected.
func TestAuthorizationWithoutAuthorizer(t *testing.T) {
	cfg := Config{ApplicationConfig: ApplicationConfig{Backends: []string{"unix:/a"}}, SiteConfig: SiteConfig{Authorization: config.Authorization{Paths: []string{"/x"}}}}
	if err := cfg.Validate(); err == nil || !strings.HasPrefix(err.Error(), "authorizer.address: is not set") {
		t.Error(err)
	}
	cfg.ApplicationConfig.Authorizer = &config.Authorizer{Address: "unix:/b"}
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	for key, bad := range map[string]config.Authorization{
		"authorizer.paths":      {Paths: []string{"x"}},
		"authorizer.except":     {Except: []string{"/"}},
		"authorizer.fields":     {Fields: []string{"Remote User"}},
		"authorizer.variables:": {Variables: []string{"eppn", "HTTP_EPPN"}},
	} {
		cfg.Authorization = bad
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// The authorizer is changed in place with its application, and goes on with its connections.
func TestConfigureAuthorizer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, authorizer := newGuardedRig(t, Config{}, passport)
		r.send(as("jane", "GET", "/", ""))
		synctest.Wait() // the connection has been asked whether it can be kept
		cfg := r.cfg.ApplicationConfig
		cfg.Authorizer = &config.Authorizer{Address: "unix:/run/authorizer.sock", Workers: 7}
		if err := r.b.Application().Configure(cfg); err != nil {
			t.Fatal(err)
		}
		if n := r.b.app.app.Authorizer.Gate.Snapshot().Workers; n != 7 {
			t.Errorf("%d workers", n)
		}
		r.send(as("jane", "GET", "/", ""))
		if n := authorizer.Accepted(); n != 1 {
			t.Errorf("%d connections", n)
		}
		cfg.Authorizer = nil
		if err := r.b.Application().Configure(cfg); err == nil || !strings.Contains(err.Error(), "authorizer") {
			t.Error(err)
		}
	})
}

// Once the authorizer has denied a request, its answer may take as long as any.
func TestDeniedAtLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newGuardedRig(t, Config{}, fcgitest.Each(func(s *fcgitest.Session, q *fcgitest.Request) {
			s.Send(fcgitest.Out(q.ID, "Status: 403\n\nfirst, "))
			s.HoldFor(20 * time.Second)
			s.Send(fcgitest.Out(q.ID, "second"), fcgitest.End(q.ID))
		}))
		if re := r.get("/"); re.status != 403 || re.body != "first, second" || re.err != nil || re.after < 20*time.Second {
			t.Errorf("%+v", re)
		}
	})
}
