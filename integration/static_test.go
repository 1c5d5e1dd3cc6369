//go:build linux

package integration

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// wantFile asks for a static file.
func wantFile(t *testing.T, s site, route, contentType, text string) {
	t.Helper()
	resp, body := s.do(t, s.request(t, http.MethodGet, route, nil))
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != contentType || !strings.Contains(body, text) {
		t.Errorf("%s: %s, %s, %q", route, resp.Status, resp.Header.Get("Content-Type"), head(body))
	}
}

// gitweb's pages come with their style sheet, without a word about it.
func TestGitwebStyleThroughFcgiwrap(t *testing.T) {
	need(t, "/usr/share/gitweb/gitweb.cgi")
	const root = "/usr/share/gitweb"
	be := startFcgiwrap(t, root, 2)
	config := filepath.Join(t.TempDir(), "gitweb.conf")
	write(t, config, "$projectroot = %q;\n1;\n", filepath.Dir(littleRepository(t)))
	be.env["GITWEB_CONFIG"] = config
	s := newSite(t, startSluice(t, be.args()...).url)
	wantContains(t, s.get(t, "/gitweb.cgi"), `href="static/gitweb.css"`)
	wantFile(t, s, "/static/gitweb.css", "text/css; charset=utf-8", "body {")
	if resp, body := s.do(t, s.request(t, http.MethodPost, "/static/gitweb.css", nil)); resp.StatusCode != http.StatusNotFound {
		t.Errorf("POST: %s %q", resp.Status, head(body))
	}
}

// The same where gitweb is one application, and cgit, whose style sheet Debian has in
// another directory.
func TestStaticDirectories(t *testing.T) {
	app, be := gitweb(t, filepath.Dir(littleRepository(t)))
	s := newSite(t, startSluiceCommand(t, app, append(be.args(), "--static-dirs", "/static=/usr/share/gitweb/static")...).url)
	wantContains(t, s.get(t, "/"), "little.git")
	wantFile(t, s, "/static/gitweb.css", "text/css; charset=utf-8", "body {")
	wantFile(t, s, "/static/git-logo.png", "image/png", "PNG")

	root := filepath.Dir(need(t, "/usr/lib/cgit/cgit.cgi"))
	wrap := startFcgiwrap(t, root, 2)
	config := filepath.Join(t.TempDir(), "cgitrc")
	write(t, config, "css=/cgit-css/cgit.css\nvirtual-root=/cgit.cgi/\nrepo.url=little\nrepo.path=%s\n", littleRepository(t))
	wrap.env["CGIT_CONFIG"] = config
	s = newSite(t, startSluice(t, append(wrap.args(), "--static-dirs", "/cgit-css=/usr/share/cgit")...).url)
	wantContains(t, s.get(t, "/cgit.cgi/"), "/cgit-css/cgit.css")
	wantFile(t, s, "/cgit-css/cgit.css", "text/css; charset=utf-8", "cgit")
}

// What a site offers for download, and what a certificate needs; and what it has besides
// stays.
func TestDownloads(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{
		"index.php", "images/a.zip", "wp-content/uploads/b.docx", "wp-content/uploads/noending", ".well-known/acme-challenge/tOkEn-_", "config.yml",
		"wp-content/uploads/.htaccess", "wp-content/uploads/shell.php", "wp-content/uploads/shell.phtml",
	} {
		write(t, filepath.Join(root, name), "<?php echo 'run';")
	}
	be := startFPM(t, fpmOptions{root: root, workers: 2})
	gate := startSluice(t, append(be.args(), "--static-types", "zip", "--static-dirs", "/wp-content/uploads", "--log-level", "debug")...)
	s := newSite(t, gate.url)
	wantFile(t, s, "/images/a.zip", "application/zip", "<?php")
	wantFile(t, s, "/.well-known/acme-challenge/tOkEn-_", "application/octet-stream", "<?php")
	wantFile(t, s, "/wp-content/uploads/noending", "application/octet-stream", "<?php")
	if resp, _ := s.do(t, s.request(t, http.MethodGet, "/wp-content/uploads/b.docx", nil)); resp.StatusCode != http.StatusOK || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("b.docx: %s %v", resp.Status, resp.Header)
	}
	if got := s.get(t, "/wp-content/uploads/shell.php"); got != "run" { // a script is a script; to hide it there is --hide
		t.Errorf("shell.php: %q", got)
	}
	for route, want := range map[string]int{"/config.yml": 404, "/wp-content/uploads/.htaccess": 404, "/wp-content/uploads/shell.phtml": 403} {
		if resp, body := s.do(t, s.request(t, http.MethodGet, route, nil)); resp.StatusCode != want || strings.Contains(body, "php") {
			t.Errorf("%s: %s %q, want %d", route, resp.Status, head(body), want)
		}
	}
	gate.logs(t, "config.yml")
	gate.logs(t, "is a file and not sent: its type is not in static or static_types")
}

// A file that Sluice's user may not read is refused, not missing.
func TestUnreadableFile(t *testing.T) {
	if os.Geteuid() != 0 {
		missing(t, "the privilege to be somebody else (root)")
	}
	root, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(root, "a.css"), "secret")
	write(t, filepath.Join(root, "b.css"), "b{}")
	for _, cmd := range [][]string{{"chmod", "600", filepath.Join(root, "a.css")}, {"chmod", "755", root, filepath.Dir(root)}, {"chmod", "777", dir}} {
		run(t, exec.Command(cmd[0], cmd[1:]...))
	}
	be := startFPM(t, fpmOptions{root: root, workers: 1})
	as := []string{need(t, "setpriv"), "--reuid=nobody", "--regid=nogroup", "--clear-groups"}
	gate := startGateAs(t, as, dir, be.args()...)
	s := newSite(t, gate.url)
	if resp, body := s.do(t, s.request(t, http.MethodGet, "/a.css", nil)); resp.StatusCode != http.StatusForbidden {
		t.Errorf("%s %q", resp.Status, body)
	}
	gate.logs(t, "a static file cannot be opened")
	if got := s.get(t, "/b.css"); got != "b{}" {
		t.Errorf("b.css: %q", got)
	}
}
