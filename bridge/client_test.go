package bridge

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// login is a front's Identify that wants "Authorization: jane" below /private.
func login(r *http.Request, c *cgi.Client) {
	if !strings.HasPrefix(r.URL.Path, "/private") {
		return
	}
	if r.Header.Get("Authorization") != "jane" {
		c.Refused = &cgi.RequestError{Status: http.StatusUnauthorized, Reason: "nobody has logged in", Challenge: `Basic realm="x"`}
		return
	}
	c.User, c.AuthType, c.Verified = "jane", "Basic", true
}

// Whom the front does not know gets its answer before anything else is done for them.
func TestRefusedByTheFront(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteHooks: SiteHooks{Identify: login}}, fcgitest.Hello)
		re := r.post("/private/x", strings.Repeat("x", 100))
		r.wantError(re, 401, errDenied)
		if got := re.header["Www-Authenticate"]; len(got) != 1 || got[0] != `Basic realm="x"` {
			t.Errorf("WWW-Authenticate is %q", got)
		}
		if o := r.outcome(); o.BytesIn != 0 || o.User != "" || o.Attempts != 0 {
			t.Errorf("%+v", o)
		}
		r.wantPage(r.get("/other"))
		r.wantPage(r.ask("GET", "/private/x", "Authorization", "jane"))
		if o := r.outcome(); o.User != "jane" {
			t.Errorf("%+v", o)
		}
		asked := r.peer.Requests()
		if q := asked[len(asked)-1]; q.Param("REMOTE_USER") != "jane" || q.Param("AUTH_TYPE") != "Basic" || q.Param("HTTP_AUTHORIZATION") != "" {
			t.Errorf("the application was told %v", q.Params)
		}
	})
}

// Log-ins that there is no room for are counted for the log, and do not flood it.
func TestTooManyLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{
			SiteHooks: SiteHooks{
				Identify: func(_ *http.Request, c *cgi.Client) {
					c.Refused = &cgi.RequestError{Status: http.StatusServiceUnavailable, Reason: "too many passwords are being checked"}
				},
			},
		}, fcgitest.Hello)
		for range 20 {
			r.wantError(r.get("/"), 503, errLimit)
			if o := r.outcome(); string(o.Refused) != refusedLogins {
				t.Errorf("%+v", o)
			}
		}
		time.Sleep(refusalsEvery)
		synctest.Wait()
		if lines := r.linesWith("level=WARN"); len(lines) != 2 || !strings.Contains(lines[0], `msg="requests refused" count=1 logins=1`) || !strings.Contains(lines[1], "count=19 logins=19") {
			t.Errorf("%q", lines)
		}
	})
}

// A local redirect leads nowhere that its client may not go by itself.
func TestLocalRedirectToWhatNeedsALogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteHooks: SiteHooks{Identify: login}}, redirecting(map[string]string{
			"/from": "Location: /private/x\n\n", "/private/x": fcgitest.Page, "/private/from": "Location: /open\n\n", "/open": fcgitest.Page,
		}))
		r.wantError(r.get("/from"), 401, errDenied)
		r.wantPage(r.ask("GET", "/from", "Authorization", "jane"))
		r.wantPage(r.ask("GET", "/private/from", "Authorization", "jane"))
		for _, q := range r.peer.Requests() {
			if got, want := q.Param("REMOTE_USER"), strings.HasPrefix(q.Param("REQUEST_URI"), "/private"); (got == "jane") != want {
				t.Errorf("%s: REMOTE_USER is %q", q.Param("REQUEST_URI"), got)
			}
		}
	})
}

func TestStaticFileOfAClientThatIsRefused(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "private"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.css", "private/b.css"} {
		if err := os.WriteFile(filepath.Join(root, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := New(t.Context(), Config{ApplicationConfig: ApplicationConfig{Backends: []string{"unix:/run/app.sock"}, Preset: "php"}, SiteConfig: SiteConfig{Root: root}, SiteHooks: SiteHooks{Identify: login}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for target, want := range map[string]bool{"/a.css": true, "/private/b.css": false, "/c.css": false} {
		if name, ok := b.StaticFile(requestFor(t, "GET", target)); ok != want {
			t.Errorf("%s: %q, %v, want %v", target, name, ok, want)
		}
	}
	if _, ok := b.StaticFile(requestFor(t, "GET", "/private/b.css", "Authorization", "jane")); !ok {
		t.Error("a client that has logged in gets no file")
	}
}

// Forwarded fields of an untrusted peer are logged once for a private and once for a
// public address.
func TestForwardedFieldsOfAnUntrustedPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{TrustedProxies: []string{"192.0.2.0/24"}, UserHeader: "X-User"}}, fcgitest.Hello)
		ask := func(peer string, header ...string) {
			q := requestFor(t, "GET", "/", header...)
			q.RemoteAddr, q.Host = peer, "app.test"
			r.b.ServeHTTP(httptest.NewRecorder(), q)
		}
		const message = "forwarded fields are ignored"
		ask("10.0.0.1:1")
		ask("192.0.2.1:1", "X-Forwarded-For", "1.2.3.4", "X-User", "jane")
		if lines := r.linesWith(message); len(lines) != 0 {
			t.Fatalf("%q", lines)
		}
		for range 3 {
			ask("203.0.113.1:1", "X-Real-Ip", "1.2.3.4")
			ask("10.0.0.1:1", "X-Forwarded-For", "1.2.3.4", "X-Forwarded-Proto", "https", "X-User", "jane")
			ask("@", "Forwarded", "for=1.2.3.4")
		}
		lines := r.linesWith(message)
		if len(lines) != 2 ||
			!strings.Contains(lines[0], "level=INFO") || !strings.Contains(lines[0], "peer=203.0.113.1 fields=X-Real-Ip") ||
			!strings.Contains(lines[1], "level=WARN") || !strings.Contains(lines[1], `peer=10.0.0.1 fields="X-Forwarded-For, X-Forwarded-Proto, X-User"`) ||
			!strings.Contains(lines[1], "--trusted-proxy 10.0.0.1") {
			t.Errorf("%q", lines)
		}
	})
}

// A trusted proxy that passes on a malformed field is logged once.
func TestMalformedForwardedOfATrustedProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{TrustedProxies: []string{"192.0.2.0/24"}}}, fcgitest.Hello)
		for range 3 {
			w := httptest.NewRecorder()
			q := requestFor(t, "GET", "/", "Forwarded", `for=6.6.6.6;by="`)
			q.Host = "app.test"
			if r.b.ServeHTTP(w, q); w.Code != 400 {
				t.Errorf("%d", w.Code)
			}
		}
		if lines := r.linesWith("malformed forwarded fields"); len(lines) != 1 || !strings.Contains(lines[0], "level=WARN") || !strings.Contains(lines[0], "is malformed (RFC 7239)") {
			t.Errorf("%q", lines)
		}
	})
}

func TestUnused(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "chat.php"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	b, err := New(t.Context(), Config{
		ApplicationConfig: ApplicationConfig{Backends: []string{"unix:/run/app.sock"}, Preset: "php"},
		SiteConfig: SiteConfig{
			Root:     root,
			Mount:    "/m",
			Hide:     []string{"/data"},
			LongPoll: []string{"/chat.php", "/m/chat.php/events", "/poll*", "/pol.php"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	list := b.Unused()
	if len(list) != 2 || !strings.HasPrefix(list[0].Error(), `cgi: hide "/data": there is nothing`) || list[1].Error() != `long_poll "/pol.php": there is nothing at that path` {
		t.Errorf("%v", list)
	}
}
