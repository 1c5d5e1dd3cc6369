package bridge

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// fileSite makes a tree with a script, a style sheet, and a file that is none of anybody's
// business.
func fileSite(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"index.php", "style.css", "private/x.css", "config.yml"} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// A file is sent to whom the front lets have it, whole, in part, or not again.
func TestFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		fileSite(t, root)
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Preset: cgi.PresetPHP}, SiteConfig: SiteConfig{Root: root, Static: cgi.StaticUsual}, SiteHooks: SiteHooks{Identify: login}}, fcgitest.Hello)
		ask := func(method, target string, header ...string) *httptest.ResponseRecorder {
			req := httptest.NewRequest(method, target, nil)
			for i := 0; i < len(header); i += 2 {
				req.Header.Set(header[i], header[i+1])
			}
			f := r.b.File(req)
			if f == nil {
				return nil
			}
			w := httptest.NewRecorder()
			f.ServeHTTP(w, req)
			return w
		}
		w := ask("GET", "/style.css")
		if w == nil || w.Code != 200 || w.Body.String() != "style.css" || w.Header().Get("Content-Type") != "text/css; charset=utf-8" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Fatalf("%+v", w)
		}
		if again := ask("GET", "/style.css", "If-Modified-Since", w.Header().Get("Last-Modified")); again.Code != 304 {
			t.Errorf("%+v", again)
		}
		if part := ask("GET", "/style.css", "Range", "bytes=6-"); part.Code != 206 || part.Body.String() != "css" {
			t.Errorf("%+v", part)
		}
		if head := ask("HEAD", "/style.css"); head.Code != 200 || head.Body.Len() != 0 || head.Header().Get("Content-Length") != "9" {
			t.Errorf("%+v", head)
		}
		if w := ask("GET", "/private/x.css", "Authorization", "jane"); w == nil || w.Body.String() != "private/x.css" {
			t.Errorf("%+v", w)
		}
		for _, q := range [][2]string{{"GET", "/private/x.css"}, {"POST", "/style.css"}, {"GET", "/config.yml"}, {"GET", "/index.php"}, {"GET", "/nothing.css"}, {"GET", "/../style.css"}} {
			if w := ask(q[0], q[1]); w != nil {
				t.Errorf("%s %s is sent: %+v", q[0], q[1], w)
			}
		}
	})
}

// Who may not see what a path is rewritten to is refused, as for that path itself.
func TestRewrittenPathNeedsLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		fileSite(t, root)
		r := newRig(t, Config{
			ApplicationConfig: ApplicationConfig{Preset: cgi.PresetPHP},
			SiteConfig: SiteConfig{
				Root: root, Static: cgi.StaticUsual, Fallback: "/index.php",
				Rewrite: []string{"/open/* /private/*", "/private/page /index.php"}, Redirect: []string{"/private/old /new 301"},
			},
			SiteHooks: SiteHooks{Identify: login},
		}, fcgitest.Hello)
		for _, target := range []string{"/open/x.css", "/open/nothing", "/private/page", "/private/old"} {
			if r.b.File(httptest.NewRequest("GET", target, nil)) != nil {
				t.Errorf("%s is sent", target)
			}
			r.wantError(r.get(target), 401, errDenied)
		}
		allowed := httptest.NewRequest("GET", "/open/x.css", nil)
		allowed.Header.Set("Authorization", "jane")
		w := httptest.NewRecorder()
		f := r.b.File(allowed)
		if f == nil {
			t.Fatal("there is no file for who may see it")
		}
		if f.ServeHTTP(w, allowed); w.Body.String() != "private/x.css" {
			t.Errorf("got %q", w.Body)
		}
		r.wantPage(r.get("/index.php"))
	})
}

// Who may not see a script is refused by whatever path it is reached: as an index, or as the fallback.
func TestScriptNeedsLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		fileSite(t, root)
		if err := os.WriteFile(filepath.Join(root, "private/index.php"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		for _, alike := range []bool{false, true} {
			r := newRig(t, Config{
				ApplicationConfig: ApplicationConfig{Preset: cgi.PresetPHP},
				SiteConfig:        SiteConfig{Root: root, Static: cgi.StaticUsual, Fallback: "/private/index.php"},
				SiteHooks:         SiteHooks{Identify: login, SameForAllPaths: alike},
			}, fcgitest.Hello)
			if alike { // as the front has said
				r.wantPage(r.get("/x"))
				continue
			}
			for _, target := range []string{"/x", "/x/y?z", "/private/"} {
				r.wantError(r.get(target), 401, errDenied)
			}
			r.wantPage(r.get("/index.php"))
			if f := r.b.File(httptest.NewRequest("GET", "/style.css", nil)); f == nil {
				t.Error("a file that is not protected is not sent")
			} else {
				f.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/style.css", nil))
			}
		}
	})
}

// A redirect is an answer, and no failure, whatever its status.
func TestRedirectRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{Redirect: []string{"/301/* /to/* 301", "/302/* /to/*", "/303/* /to/* 303", "/307/* /to/* 307", "/308/* /to/* 308"}}}, fcgitest.Hello)
		for _, status := range []int{301, 302, 303, 307, 308} {
			re := r.get(fmt.Sprintf("/%d//other.test/a%%5cb?c=d", status))
			if re.status != status || re.header.Get("Location") != "/to//other.test/a%5Cb?c=d" || !strings.Contains(re.body, "It is at /to/") || re.header.Get("Proxy-Status") != "" {
				t.Errorf("%d: %+v", status, re)
			}
		}
	})
}

// A compressed file that becomes shorter while it is sent has no end.
func TestFileBecomesShorter(t *testing.T) {
	root := t.TempDir()
	name := filepath.Join(root, "style.css")
	if err := os.WriteFile(name, []byte(strings.Repeat("body { margin: 0 }\n", 10_000)), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, shorter := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Config{
				ApplicationConfig: ApplicationConfig{Preset: cgi.PresetPHP},
				SiteConfig:        SiteConfig{Root: root, Compression: config.Compression{Scope: config.CompressStatic}},
			}, fcgitest.Hello)
			req := httptest.NewRequest("GET", "/style.css", nil)
			req.Header.Set("Accept-Encoding", "gzip")
			f := r.b.File(req)
			if shorter {
				if err := os.Truncate(name, 50_000); err != nil {
					t.Fatal(err)
				}
			}
			w := httptest.NewRecorder()
			f.ServeHTTP(w, req)
			z, err := gzip.NewReader(w.Body)
			if err == nil {
				_, err = io.Copy(io.Discard, z)
			}
			if f.Cut() != shorter || (err != nil) != shorter || w.Header().Get("Content-Length") != "" {
				t.Errorf("cut: %v, %v, %v; want %v", f.Cut(), w.Header(), err, shorter)
			}
		})
	}
}

// A refusal in place of a file that would be compressed is none that was cut.
func TestFileIsRefused(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "style.css"), []byte(strings.Repeat("body { margin: 0 }\n", 1000)), 0o644); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{
			ApplicationConfig: ApplicationConfig{Preset: cgi.PresetPHP},
			SiteConfig:        SiteConfig{Root: root, Compression: config.Compression{Scope: config.CompressStatic}},
		}, fcgitest.Hello)
		for _, c := range []struct {
			name, value string
			status      int
		}{
			{"If-Match", `"x"`, 412},
			{"If-Unmodified-Since", "Thu, 02 Jan 1992 03:04:05 GMT", 412},
			{"Range", "bytes=99999-", 416},
			{"Range", "bytes=x", 416},
			{"Range", "bytes=0-3", 206},
		} {
			req := httptest.NewRequest("GET", "/style.css", nil)
			req.Header.Set("Accept-Encoding", "gzip")
			req.Header.Set(c.name, c.value)
			f := r.b.File(req)
			w := httptest.NewRecorder()
			if f.ServeHTTP(w, req); w.Code != c.status || f.Cut() || w.Header().Get("Content-Encoding") != "" {
				t.Errorf("%s: %s: %d, %v, cut: %v; want %d", c.name, c.value, w.Code, w.Header(), f.Cut(), c.status)
			}
		}
	})
}

// The log tells where the root leads, and why a file that is there is a 404.
func TestFilesInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		current := filepath.Join(dir, "current")
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Preset: cgi.PresetPHP}, SiteConfig: SiteConfig{Root: current, Static: cgi.StaticUsual}}, fcgitest.Hello)
		wantLog := func(text string, times int) {
			t.Helper()
			if n := strings.Count(r.log.String(), text); n != times {
				t.Errorf("%q is in the log %d times, want %d:\n%s", text, n, times, r.log.String())
			}
		}
		wantLog("a directory cannot be opened", 1)
		r.wantError(r.get("/index.php"), 404, errRequest)
		for _, release := range []string{"1", "2"} {
			fileSite(t, filepath.Join(dir, release))
			_ = os.Remove(current) // it may not be there yet
			if err := os.Symlink(release, current); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			r.wantPage(r.get("/index.php"))
			asked := r.peer.Requests()
			if got, want := asked[len(asked)-1].Param("SCRIPT_FILENAME"), filepath.Join(dir, release, "index.php"); got != want {
				t.Errorf("SCRIPT_FILENAME is %s, want %s", got, want)
			}
			wantLog("now="+filepath.Join(dir, release), 1)
		}
		wantLog("a directory cannot be opened", 1)
		r.wantError(r.get("/config.yml"), 404, errRequest)
		wantLog(`is a file and not sent`, 1)
	})
}

// Each field that is dropped for its name is told of once, and not more of them than
// anybody reads.
func TestDroppedFieldsInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{UnderscoreHeaders: []string{"api_key"}}}, fcgitest.Hello)
		for range 3 {
			r.wantPage(r.ask("GET", "/", "api_key", "x", "a_b", "x", "x_forwarded_for", "x"))
		}
		if n := strings.Count(r.log.String(), "a request field is not passed"); n != 1 || !strings.Contains(r.log.String(), "field=A_b") {
			t.Errorf("told %d times:\n%s", n, r.log.String())
		}
		if asked := r.peer.Requests(); asked[0].Param("HTTP_API_KEY") != "x" || asked[0].Param("HTTP_A_B") != "" {
			t.Errorf("the application was told %v", asked[0].Params)
		}
		for i := range 3 * noticedFields {
			r.wantPage(r.ask("GET", "/", "a_"+strings.Repeat("x", i+1), "x"))
		}
		if n := strings.Count(r.log.String(), "a request field is not passed"); n != noticedFields {
			t.Errorf("told %d times, want %d", n, noticedFields)
		}
	})
}

func TestFileSettings(t *testing.T) {
	base := Config{ApplicationConfig: ApplicationConfig{Backends: []string{"unix:/a"}, Preset: cgi.PresetPHP}, SiteConfig: SiteConfig{Root: "/srv"}}
	for want, change := range map[string]func(*Config){
		"":                                 func(c *Config) { c.AppRoot = "/app" },
		"resolve_root_symlink: is on, and": func(c *Config) { c.AppRoot, c.ResolveRootSymlink = "/app", On },
		"cgi: app_root: means nothing while resolve_root_symlink": func(c *Config) { c.AppRoot, c.ResolveRootSymlink = "/app", Off },
		`resolve_root_symlink: is "maybe", want on or off`:        func(c *Config) { c.ResolveRootSymlink = "maybe" },
		`check_files: is "maybe", want on or off`:                 func(c *Config) { c.CheckFiles = "maybe" },
		"cgi: app_root: means nothing while check_files":          func(c *Config) { c.AppRoot, c.CheckFiles = "/app", Off },
		`static: is "some", want off, usual or all`:               func(c *Config) { c.Static = "some" },
		`cgi: underscore_headers "a"`:                             func(c *Config) { c.UnderscoreHeaders = []string{"a"} },
	} {
		cfg := base
		change(&cfg)
		err := cfg.Validate()
		if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	gone := base
	gone.Root = filepath.Join(t.TempDir(), "gone")
	if err := gone.CheckDirectories(); err == nil || !strings.HasPrefix(err.Error(), "cgi: root: ") {
		t.Errorf("%v, want an error about the root", err)
	}
	b, err := New(t.Context(), gone)
	if err != nil {
		t.Fatalf("a root that may come later: %v", err)
	}
	defer b.Close()
	w := httptest.NewRecorder()
	b.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/index.php", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("%d without a root, want 404", w.Code)
	}
}
