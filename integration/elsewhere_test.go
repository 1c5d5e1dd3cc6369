//go:build linux

package integration

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const whereScript = `<?php echo $_SERVER["SCRIPT_FILENAME"], " ", $_SERVER["DOCUMENT_ROOT"], " ", $_SERVER["PATH_INFO"] ?? "-", " ", file_exists($_SERVER["SCRIPT_FILENAME"]) ? "there" : "missing";`

// chrooted starts PHP-FPM in a directory that it takes for the file system's root.
func chrooted(t *testing.T, jail string) backend {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, "the privilege to chroot (root)")
	}
	return startFPM(t, fpmOptions{workers: 2, pool: "chroot = " + jail + "\n"})
}

// PHP in a chroot, as in a container, sees the scripts at another path than Sluice, which
// checks them and sends the static files.
func TestApplicationCallsTheRootOtherwise(t *testing.T) {
	jail := t.TempDir()
	for _, name := range []string{"a.php", "sub/index.php"} {
		write(t, filepath.Join(jail, "app", name), "%s", whereScript)
	}
	write(t, filepath.Join(jail, "app/style.css"), "a{}")
	be := chrooted(t, jail)
	be.root = filepath.Join(jail, "app")
	s := newSite(t, startSluice(t, append(be.args(), "--app-root", "/app", "--fallback", "/a.php")...).url)
	for route, want := range map[string]string{
		"/a.php/x":   "/app/a.php /app /x there",
		"/sub/":      "/app/sub/index.php /app - there",
		"/a/page":    "/app/a.php /app - there",
		"/style.css": "a{}",
	} {
		if got := s.get(t, route); got != want {
			t.Errorf("%s: %q, want %q", route, got, want)
		}
	}
	if resp, body := s.do(t, s.request(t, http.MethodGet, "/nothing.css", nil)); body != "/app/a.php /app - there" {
		t.Errorf("%s %q", resp.Status, body)
	}
}

// Sluice need not see the files at all: what is hidden, climbs or begins with a dot is
// still out of reach, and PHP says that there is no such script.
func TestFilesAreNotSeen(t *testing.T) {
	jail := t.TempDir()
	for _, name := range []string{"index.php", "a.php", "sub/index.php", "data/x.php", ".git/x.php"} {
		write(t, filepath.Join(jail, "app", name), "%s", whereScript)
	}
	write(t, filepath.Join(jail, "app/upload/image.jpg"), "%s", whereScript)
	write(t, filepath.Join(jail, "secret.php"), "%s", whereScript)
	be := chrooted(t, jail)
	be.root = "/app" // which is nothing here
	s := newSite(t, startSluice(t, append(be.args(), "--check-files", "off", "--hide", "/data")...).url)
	for route, want := range map[string]string{
		"/a.php/x": "/app/a.php /app /x there",
		"/sub/":    "/app/sub/index.php /app - there",
		"/":        "/app/index.php /app - there",
	} {
		if got := s.get(t, route); got != want {
			t.Errorf("%s: %q, want %q", route, got, want)
		}
	}
	for route, want := range map[string]int{
		"/missing.php": 404, "/style.css": 404, "/data/x.php": 404, "/.git/x.php": 404, "/upload/image.jpg/x.php": 404, "/upload/image.jpg": 404,
		"/%2e%2e/secret.php": 400, "/x/../../secret.php": 400, "/a.php%00": 400, "/sub/..%2f..%2fsecret.php": 400,
	} {
		resp, body := s.do(t, s.request(t, http.MethodGet, route, nil))
		if resp.StatusCode != want || strings.Contains(body, "there") {
			t.Errorf("%s: %s %q, want %d", route, resp.Status, head(body), want)
		}
	}
	front := newSite(t, startSluice(t, append(be.args(), "--check-files", "off", "--fallback", "/index.php")...).url)
	if got := front.get(t, "/2024/a-post/"); got != "/app/index.php /app - there" {
		t.Errorf("the front controller: %q", got)
	}
}

// fcgiwrap is told the program by its name, too.
func TestProgramsAreNotSeen(t *testing.T) {
	root := filepath.Dir(need(t, "/usr/lib/cgit/cgit.cgi"))
	be := startFcgiwrap(t, root, 2)
	config := filepath.Join(t.TempDir(), "cgitrc")
	write(t, config, "virtual-root=/cgit.cgi/\nrepo.url=little\nrepo.path=%s\nrepo.desc=a little one\n", littleRepository(t))
	be.env["CGIT_CONFIG"] = config
	s := newSite(t, startSluice(t, append(be.args(), "--check-files", "off")...).url)
	wantContains(t, s.get(t, "/cgit.cgi/"), "a little one")
	if got := s.get(t, "/cgit.cgi/little/plain/docs/gr%C3%B6%C3%9Fe.txt"); got != gitContent {
		t.Errorf("plain file: %q", got)
	}
	if resp, body := s.do(t, s.request(t, http.MethodGet, "/filters/syntax-highlighting.py", nil)); resp.StatusCode == http.StatusOK && strings.Contains(body, "import") {
		t.Errorf("a program's source: %s", head(body))
	}
}

// The pages of PHP-FPM itself have no file. They can be asked for, and what an instance
// must answer to be ready.
func TestPagesOfFPMItself(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "a.php"), "<?php echo 'page';")
	be := startFPM(t, fpmOptions{root: root, workers: 2, pool: "ping.path = /ping\nping.response = alive\npm.status_path = /status\n"})
	s := newSite(t, startSluice(t, append(be.args(), "--virtual", "/ping", "--virtual", "/status")...).url)
	if got := s.get(t, "/ping"); got != "alive" {
		t.Errorf("/ping: %q", got)
	}
	wantContains(t, s.get(t, "/status?json"), `"pool":"routes"`)
	if got := s.get(t, "/a.php"); got != "page" {
		t.Errorf("/a.php: %q", got)
	}
	plain := newSite(t, startSluice(t, be.args()...).url)
	if resp, body := plain.do(t, plain.request(t, http.MethodGet, "/status", nil)); resp.StatusCode != http.StatusNotFound {
		t.Errorf("/status, which was not named: %s %q", resp.Status, head(body))
	}
	gate := startSluiceCommand(t, phpCGI(t, 2), "--preset", "php", "--root", root, "--workers", "2", "--virtual", "/ping", "--command-ready", "/ping")
	if got := newSite(t, gate.url).get(t, "/a.php"); got != "page" {
		t.Errorf("with --command-ready /ping: %q", got)
	}
}

// A client that cannot be changed writes api_key.
func TestFieldsWithUnderscores(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, filepath.Join(root, "a.php"), "<?php echo $_SERVER['HTTP_API_KEY'] ?? 'none';")
	be := startFPM(t, fpmOptions{root: root, workers: 1})
	ask := func(gate sluice) string {
		s := newSite(t, gate.url)
		r := s.request(t, http.MethodGet, "/a.php", nil)
		r.Header["api_key"] = []string{"secret"}
		_, body := s.do(t, r)
		return body
	}
	plain := startSluice(t, be.args()...)
	if got := ask(plain); got != "none" {
		t.Errorf("HTTP_API_KEY is %q", got)
	}
	plain.logs(t, "field=Api_key")
	if got := ask(startSluice(t, append(be.args(), "--underscore-headers", "api_key")...)); got != "secret" {
		t.Errorf("HTTP_API_KEY is %q although it is let through", got)
	}
}
