//go:build linux

package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// addUser adds a user to a file, with Apache's own program.
func addUser(t testing.TB, file, name, password string, flags ...string) {
	t.Helper()
	program := need(t, "htpasswd")
	if _, err := os.Stat(file); err != nil {
		flags = append([]string{"-c"}, flags...)
	}
	run(t, exec.Command(program, append(append([]string{"-b"}, flags...), file, name, password)...))
}

func (s site) as(t testing.TB, route, name, password string, header ...string) (*http.Response, string) {
	t.Helper()
	r := s.request(t, http.MethodGet, route, nil)
	if name != "" {
		r.SetBasicAuth(name, password)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return s.do(t, r)
}

// An application that leaves the log-in to the web server, as Trac does: at one path.
func TestLoginAtOnePath(t *testing.T) {
	be := startUWSGIFile(t, "login.py", filepath.Join(socketDir(t), "uwsgi.sock"), 4)
	file, access := filepath.Join(t.TempDir(), "htpasswd"), filepath.Join(t.TempDir(), "access")
	addUser(t, file, "jane", "geheim: jä", "-B", "-C", "5")
	addUser(t, file, "joe", "another", "-m")
	gate := startSluice(t, append(be.args(), "--mount", "/trac", "--auth-file", file, "--auth-path", "/login", "--auth-realm", "Trac", "--access-log", access)...)
	s := newSite(t, gate.url+"/trac")

	if got := s.get(t, "/wiki"); got != "anonymous - -\n" {
		t.Errorf("a page without log-in: %q", got)
	}
	for name, password := range map[string]string{"": "", "jane": "wrong", "nobody": "geheim: jä"} {
		resp, body := s.as(t, "/login", name, password)
		if resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") != `Basic realm="Trac", charset="UTF-8"` || strings.Contains(body, "Authentication information") {
			t.Errorf("/login as %q: %s %v %q", name, resp.Status, resp.Header, body)
		}
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.client.Jar = jar
	if resp, body := s.as(t, "/login", "jane", "geheim: jä"); resp.StatusCode != 302 || resp.Header.Get("Location") != "/trac/wiki" {
		t.Fatalf("/login as jane: %s %q", resp.Status, body)
	}
	if got := s.get(t, "/wiki"); got != "jane - -\n" {
		t.Errorf("a page after the log-in: %q", got)
	}
	// Elsewhere, what a client sends is the application's to judge.
	if _, got := s.as(t, "/wiki", "mallory", "x"); got != "jane - seen\n" {
		t.Errorf("a page with somebody's password: %q", got)
	}

	// A user who is taken out is out.
	run(t, exec.Command(need(t, "htpasswd"), "-D", file, "jane"))
	eventually(t, "jane cannot log in any more", func() error {
		if resp, _ := s.as(t, "/login", "jane", "geheim: jä"); resp.StatusCode != 401 {
			return fmt.Errorf("%s", resp.Status)
		}
		return nil
	})
	if resp, _ := s.as(t, "/login", "joe", "another"); resp.StatusCode != 302 {
		t.Errorf("/login as joe: %s", resp.Status)
	}
	text, err := os.ReadFile(access)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"geheim", "another", "Z2VoZWlt", "amFuZT"} {
		if strings.Contains(gate.output.String()+string(text), secret) {
			t.Errorf("%q is in a log", secret)
		}
	}
	if !strings.Contains(gate.output.String(), "log-in failed: wrong password") {
		t.Error("the log does not tell of the wrong password")
	}
}

// A script that requires log-in requires it by whatever path it is reached, and FILE.gz as FILE does.
func TestLoginForScript(t *testing.T) {
	t.Parallel()
	root, file := t.TempDir(), filepath.Join(t.TempDir(), "htpasswd")
	for name, text := range map[string]string{
		"index.php": "<?php echo 'the front page';", "open.php": "<?php echo 'open';", "admin/index.php": "<?php echo 'admin';",
		"secret.css": "secret", "secret.css.gz": "secret, compressed", "open.css": "open", "hidden.css.gz": "hidden",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(root, name), "%s", text)
	}
	addUser(t, file, "jane", "eins", "-B", "-C", "4")
	be := startPHPCGI(t, root, 2)
	s := newSite(t, startSluice(t, append(be.args(), "--static", "all", "--static-precompressed", "gzip", "--fallback", "/index.php", "--hide", "/hidden.css",
		"--auth-file", file, "--auth-path", "/index.php", "--auth-path", "/admin/index.php", "--auth-path", "/secret.css")...).url)
	for _, path := range []string{"/index.php", "/", "/nothing/there", "/admin/", "/secret.css", "/secret.css.gz"} {
		if resp, body := s.as(t, path, "", ""); resp.StatusCode != 401 {
			t.Errorf("%s without a password: %s %q", path, resp.Status, body)
		}
		if resp, body := s.as(t, path, "jane", "eins"); resp.StatusCode != 200 {
			t.Errorf("%s as jane: %s %q", path, resp.Status, body)
		}
	}
	for _, path := range []string{"/open.php", "/open.css"} {
		if got := s.get(t, path); got != "open" {
			t.Errorf("%s: %q", path, got)
		}
	}
	if resp, body := s.as(t, "/hidden.css.gz", "jane", "eins"); resp.StatusCode != 404 {
		t.Errorf("/hidden.css.gz: %s %q", resp.Status, body)
	}
}

// With a log-in for the whole site, static files need it, too, and each user is one for
// the gate.
func TestLoginForAllOfASite(t *testing.T) {
	root, lib := dokuwiki(t)
	be := startFPM(t, fpmOptions{root: root, workers: 4})
	file, access := filepath.Join(t.TempDir(), "htpasswd"), filepath.Join(t.TempDir(), "access")
	addUser(t, file, "jane", "eins", "-B", "-C", "4")
	addUser(t, file, "joe", "zwei", "-5")
	gate := startSluice(t, append(be.args(), "--follow", lib, "--mount", "/wiki", "--auth-file", file, "--client-key", "user", "--access-log", access)...)
	s := newSite(t, gate.url+"/wiki")
	for _, route := range []string{"/doku.php", "/", wikiLogo, "/nothing", "/conf/local.php"} {
		if resp, body := s.as(t, route, "", ""); resp.StatusCode != 401 {
			t.Errorf("%s: %s %q", route, resp.Status, head(body))
		}
	}
	if resp, body := s.as(t, wikiLogo, "jane", "eins"); resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "image/png" || len(body) == 0 {
		t.Errorf("%s: %s", wikiLogo, resp.Status)
	}
	for _, user := range []struct{ name, password string }{{"jane", "eins"}, {"joe", "zwei"}, {"jane", "eins"}} {
		resp, body := s.as(t, "/doku.php?id=start", user.name, user.password)
		if resp.StatusCode != 200 && resp.StatusCode != 404 || !strings.Contains(body, "A wiki behind the gate") {
			t.Errorf("as %s: %s %q", user.name, resp.Status, head(body))
		}
	}
	var keys map[string]map[string]bool
	eventually(t, "the access log has all requests", func() error { // it is written in the background
		text, err := os.ReadFile(access)
		if err != nil {
			return err
		}
		keys = map[string]map[string]bool{}
		n := 0
		for text := range strings.Lines(string(text)) {
			var line struct {
				User      string `json:"user"`
				ClientKey string `json:"client_key"`
			}
			if err := json.Unmarshal([]byte(text), &line); err != nil {
				return err
			}
			n++
			if line.User != "" {
				if keys[line.User] == nil {
					keys[line.User] = map[string]bool{}
				}
				keys[line.User][line.ClientKey] = true
			}
		}
		if n < 9 {
			return fmt.Errorf("%d lines", n)
		}
		return nil
	})
	jane, joe := keys["jane"], keys["joe"]
	if len(jane) != 1 || len(joe) != 1 || jane[""] || fmt.Sprint(jane) == fmt.Sprint(joe) {
		t.Errorf("the gate knows the users as %v", keys)
	}
}

// A proxy that has logged people in says who they are; nobody else can.
func TestUserOfAProxy(t *testing.T) {
	be := startUWSGIFile(t, "login.py", filepath.Join(socketDir(t), "uwsgi.sock"), 2)
	s := newSite(t, startSluice(t, append(be.args(), "--trusted-proxy", "127.0.0.1", "--user-header", "X-Remote-User")...).url)
	if _, got := s.as(t, "/wiki", "", "", "X-Remote-User", "jane"); got != "jane Basic -\n" {
		t.Errorf("of a trusted proxy: %q", got)
	}
	s = newSite(t, startSluice(t, append(be.args(), "--trusted-proxy", "192.0.2.1", "--user-header", "X-Remote-User")...).url)
	if _, got := s.as(t, "/wiki", "", "", "X-Remote-User", "jane"); got != "anonymous - -\n" {
		t.Errorf("of somebody: %q", got)
	}
	if resp, _ := s.as(t, "/login", "", "", "X-Remote-User", "jane"); resp.StatusCode != 500 {
		t.Errorf("/login of somebody: %s, want the application's 500", resp.Status)
	}
}

// What is hidden below the mount stays there, and so do copies of scripts.
func TestHiddenBelowTheMount(t *testing.T) {
	root, lib := dokuwiki(t)
	for _, name := range []string{"data/pages/s.html", "data/x.php", "doku.php.bak", "doku.php~", "inc/x.inc", ".git/x.php", ".svn/entries.html", "doku.html"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(root, name), "<?php echo 'ran'; /* secret */")
	}
	be := startFPM(t, fpmOptions{root: root, workers: 2})
	gate := startSluice(t, append(be.args(), "--follow", lib, "--mount", "/wiki", "--hide", "/data", "--hide", "/wiki/conf", "--hide", "/nothing")...)
	s := newSite(t, gate.url)
	for route, want := range map[string]int{
		"/wiki/data/pages/s.html": 404, "/wiki/data/x.php": 404, "/wiki//data/x.php": 404, "/wiki/inc/../data/x.php": 404,
		"/wiki/inc/%2e%2e/data/x.php": 404, "/wiki/%64ata/x.php": 404, "/wiki/data/x.php/info": 404, "/wiki/data;x/x.php": 404, "/wiki/conf/local.php": 404,
		"/wiki/doku.php.bak": 404, "/wiki/doku.php~": 404, "/wiki/inc/x.inc": 403, "/wiki/.git/x.php": 404, "/wiki/.svn/entries.html": 404,
		"/data/x.php": 404, "/wiki/doku.html": 200,
	} {
		resp, body := s.do(t, s.request(t, http.MethodGet, route, nil))
		if resp.StatusCode != want || want != 200 && (strings.Contains(body, "secret") || strings.Contains(body, "ran")) {
			t.Errorf("%s: %s %q, want %d", route, resp.Status, head(body), want)
		}
	}
	if got, want := gate.output.String(), `a setting has no effect: --hide \"/nothing\": there is nothing at `; !strings.Contains(got, want) {
		t.Errorf("the log does not say %s:\n%s", want, got)
	}
	if strings.Contains(gate.output.String(), "conf") && strings.Contains(gate.output.String(), `no effect: --hide \"/wiki/conf`) {
		t.Error("the log says that a path that is hidden has no effect")
	}
}
