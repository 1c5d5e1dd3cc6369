//go:build linux

package caddy

import (
	"fmt"
	"io"
	"net/http"
	"net/http/fcgi"
	"os"
	"strings"
	"testing"
)

func TestHandler(t *testing.T) {
	a := startApp(t, echo)
	s := start(t, "sluice /app* "+a.addr+"\nrespond /other elsewhere")
	s.want(s.get("/app/x"), 200, "GET /app/x ")
	s.want(s.ask("POST", "/app", "body"), 200, "POST /app body")
	s.want(s.get("/other"), 200, "elsewhere")
	list := s.state()
	if len(list) != 1 || list[0].Backends[0] != a.addr || list[0].Snapshot.Pool.Instances[0].Dials > 2 { // one is kept, and one more if it is being found out whether it is
		t.Errorf("status %+v", list)
	}
}

// variables answers with CGI variables, one per line.
func variables(names ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		env := fcgi.ProcessEnv(r)
		for _, n := range names {
			value := env[n]
			if field, ok := strings.CutPrefix(n, "HTTP_"); ok {
				value = r.Header.Get(strings.ReplaceAll(field, "_", "-"))
			}
			fmt.Fprintf(w, "%s=%s\n", n, value)
		}
	}
}

// The application sees who has logged in, and the client behind a trusted proxy.
func TestIdentity(t *testing.T) {
	a := startApp(t, variables("REMOTE_USER", "AUTH_TYPE", "HTTP_AUTHORIZATION", "SITE"))
	s := start(t, fmt.Sprintf(`
	basic_auth {
		ada $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG
	}
	sluice %s {
		env SITE "{http.request.host}, {unknown}"
	}`, a.addr))
	re := s.ask("GET", "/", "", "Authorization", "Basic YWRhOmhpY2N1cA==") // hiccup
	s.want(re, 200, "REMOTE_USER=ada\nAUTH_TYPE=Basic\nHTTP_AUTHORIZATION=\nSITE=127.0.0.1, {unknown}\n")

	// An application that needs the password can be given it.
	s.load(s.directives[:strings.LastIndex(s.directives, "}")] + "env HTTP_AUTHORIZATION {http.request.header.Authorization}\n}")
	re = s.ask("GET", "/", "", "Authorization", "Basic YWRhOmhpY2N1cA==")
	s.want(re, 200, "REMOTE_USER=ada\nAUTH_TYPE=Basic\nHTTP_AUTHORIZATION=Basic YWRhOmhpY2N1cA==\nSITE=127.0.0.1, {unknown}\n")

	// What Caddy has not checked is the application's.
	s.load(fmt.Sprintf("sluice %s {\nenv SITE x\n}", a.addr))
	re = s.ask("GET", "/", "", "Authorization", "Basic YWRhOmhpY2N1cA==")
	s.want(re, 200, "REMOTE_USER=\nAUTH_TYPE=\nHTTP_AUTHORIZATION=Basic YWRhOmhpY2N1cA==\nSITE=x\n")
}

// A proxy that is trusted, by the server or by us, says who has logged in.
func TestUserHeader(t *testing.T) {
	a := startApp(t, variables("REMOTE_USER", "AUTH_TYPE", "HTTP_X_REMOTE_USER"))
	trusted := "servers {\ntrusted_proxies static 127.0.0.0/8\n}"
	directives := "sluice " + a.addr + " {\nuser_header X-Remote-User\n}"
	s := start(t, directives, trusted)
	s.want(s.ask("GET", "/", "", "X-Remote-User", "jane"), 200, "REMOTE_USER=jane\nAUTH_TYPE=Basic\nHTTP_X_REMOTE_USER=jane\n")
	s.load(directives)
	s.want(s.ask("GET", "/", "", "X-Remote-User", "jane"), 200, "REMOTE_USER=\nAUTH_TYPE=\nHTTP_X_REMOTE_USER=\n")
	s.load("sluice " + a.addr + " {\nuser_header X-Remote-User\ntrusted_proxies 127.0.0.1\n}")
	s.want(s.ask("GET", "/", "", "X-Remote-User", "jane"), 200, "REMOTE_USER=jane\nAUTH_TYPE=Basic\nHTTP_X_REMOTE_USER=jane\n")
}

// A list of schemes, capitals, a host and a port of a trusted proxy are understood.
func TestForwarded(t *testing.T) {
	a := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		env := fcgi.ProcessEnv(r)
		fmt.Fprint(w, r.TLS != nil, " ", env["SERVER_NAME"], " ", env["SERVER_PORT"], " ", r.Host)
	})
	s := start(t, "sluice "+a.addr, "servers {\ntrusted_proxies static 127.0.0.0/8\n}")
	for _, proto := range []string{"https", "HTTPS", "https, https", "http, https"} {
		re := s.ask("GET", "/", "", "X-Forwarded-Proto", proto)
		if want := "true 127.0.0.1 443 127.0.0.1"; re.body != want {
			t.Errorf("%s: %+v, want %s", proto, re, want)
		}
	}
	re := s.ask("GET", "/", "", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "wiki.example.org", "X-Forwarded-Port", "8443")
	s.want(re, 200, "true wiki.example.org 8443 wiki.example.org:8443")
}

// Whoever has forgotten to name the proxy finds it in the log; so do settings that have
// no effect.
func TestLogTellsWhatIsWrong(t *testing.T) {
	a := startApp(t, variables("SITE"))
	s := start(t, "sluice "+a.addr+" {\nroot /tmp\n}")
	s.ask("GET", "/", "", "X-Forwarded-For", "192.0.2.9")
	text, err := os.ReadFile(s.log)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`a setting has no effect: root \"/tmp\": preset \"app\" neither runs nor sends files`, `the peer is not in trusted_proxies`, `--trusted-proxy 127.0.0.1`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the log does not say %s", want)
		}
	}
	// What reverse_proxy writes by itself is nobody's mistake.
	s.load("reverse_proxy " + a.addr + " {\ntransport sluice\n}")
	told := strings.Count(string(text), "the peer is not in trusted_proxies")
	s.want(s.get("/"), 200, "SITE=\n")
	if text, err = os.ReadFile(s.log); err != nil || strings.Count(string(text), "the peer is not in trusted_proxies") > told {
		t.Errorf("the log tells of Caddy's own fields, %v:\n%s", err, text)
	}
}

func TestTrustedProxies(t *testing.T) {
	a := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %v", r.RemoteAddr, fcgi.ProcessEnv(r)["REQUEST_SCHEME"])
	})
	trusted := "servers {\ntrusted_proxies static 127.0.0.0/8\n}"
	s := start(t, "sluice "+a.addr, trusted)
	re := s.ask("GET", "/", "", "X-Forwarded-For", "192.0.2.9", "X-Forwarded-Proto", "https")
	s.want(re, 200, "192.0.2.9:0 https")
	s.load("sluice " + a.addr)
	re = s.ask("GET", "/", "", "X-Forwarded-For", "192.0.2.9", "X-Forwarded-Proto", "https")
	if re.status != 200 || !strings.HasPrefix(re.body, "127.0.0.1:") || !strings.HasSuffix(re.body, " http") {
		t.Errorf("%+v", re)
	}
}

// A rewritten request keeps the URI that the client asked for.
func TestRewrite(t *testing.T) {
	a := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.URL.RequestURI(), " ", fcgi.ProcessEnv(r)["DOCUMENT_URI"])
	})
	s := start(t, "rewrite /old* /new?b=1\nsluice "+a.addr)
	s.want(s.get("/old/page?a=1"), 200, "/old/page?a=1 /new")
}

// Refusals say when to come again; handle_errors has a page for them if there is one.
func TestRefusal(t *testing.T) {
	release := make(chan struct{})
	entered := make(chan struct{}, 1)
	a := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-release
		io.WriteString(w, "done")
	})
	directives := fmt.Sprintf(`sluice %s {
		workers 1
		lanes off
		queue {
			size 1
			timeout 200ms
		}
	}`, a.addr)
	s := start(t, directives)
	first := make(chan reply)
	go func() { first <- s.get("/") }()
	select {
	case <-entered:
	case re := <-first:
		t.Fatalf("the first request: %+v", re)
	}
	re := s.get("/")
	if re.status != 503 || re.header.Get("Retry-After") == "" || re.header.Get("Proxy-Status") == "" || !strings.Contains(re.body, "busy") {
		t.Errorf("%+v", re)
	}
	s.load(directives + "\nhandle_errors {\nrespond \"our page {err.status_code}\"\n}")
	eventually(t, func() error { // a reload may let the former server have a request that comes at once
		re := s.get("/")
		if re.status != 503 || re.header.Get("Retry-After") == "" || re.body != "our page 503" || re.header.Get("Content-Length") != "12" {
			return fmt.Errorf("%+v", re)
		}
		return nil
	})
	close(release)
	s.want(<-first, 200, "done")
}

// An application that is not there is a 502, which handle_errors may answer.
func TestNobodyListens(t *testing.T) {
	s := start(t, "sluice unix//nowhere/app.sock\nhandle_errors {\nrespond {err.status_code}\n}")
	s.want(s.get("/"), 502, "502")
}

// The access log says what the gate made of a request.
func TestAccessLog(t *testing.T) {
	a := startApp(t, echo)
	s := start(t, "log\nsluice "+a.addr)
	s.want(s.get("/logged"), 200, "GET /logged ")
	if err := s.tryLoad("respond x"); err != nil { // the log is written
		t.Fatal(err)
	}
	if lines := s.logged(`"msg":"handled request"`, `"uri":"/logged"`, `"sluice":{"lane":"unknown","instance":"`+a.addr); len(lines) != 1 {
		t.Errorf("%d lines: %v", len(lines), s.logged("handled request"))
	}
}

// A placeholder in a backend's name is resolved when the configuration is loaded.
func TestPlaceholders(t *testing.T) {
	a := startApp(t, echo)
	t.Setenv("APP_SOCKET", a.addr)
	s := start(t, "sluice {env.APP_SOCKET}")
	s.want(s.get("/x"), 200, "GET /x ")
	if err := s.tryLoad("sluice {env.NO_SUCH_VARIABLE}"); err == nil || !strings.Contains(err.Error(), "backends") {
		t.Errorf("%v, want an error about backends", err)
	}
	s.want(s.get("/y"), 200, "GET /y ") // the one before is still there
}

// A body that is larger than Caddy's own limit is too large.
func TestRequestBodyLimit(t *testing.T) {
	both(t, echo, func(t *testing.T, s *site) {
		directives := s.directives
		s.load("request_body {\nmax_size 1KiB\n}\n" + directives)
		s.want(s.ask("POST", "/", "small"), 200, "POST / small")
		r, err := http.NewRequest("POST", s.url, io.MultiReader(strings.NewReader(strings.Repeat("x", 100_000)))) // its length is not known
		if err != nil {
			t.Fatal(err)
		}
		if re := s.do(r); re.status != 413 {
			t.Errorf("%d %q, %v", re.status, re.body, re.err)
		}
	})
}
