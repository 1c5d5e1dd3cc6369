//go:build linux

package integration

import (
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// startConverted converts a configuration of another server, one of those that cmd/sluice/internal/convert is
// tested with, with its paths replaced, and serves the result.
func startConverted(t *testing.T, fixture string, replace ...string) configured {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "cmd", "sluice", "internal", "convert", "testdata", fixture))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), filepath.Base(fixture))
	write(t, path, "%s", strings.NewReplacer(replace...).Replace(string(text)))
	cmd := exec.Command(sluiceBinary(), "convert", "--from", filepath.Dir(fixture), path)
	var left strings.Builder
	cmd.Stderr = &left
	out, err := cmd.Output()
	if status := cmd.ProcessState.ExitCode(); status != 0 && status != 3 || (status == 3) != (left.Len() > 0) {
		t.Fatalf("%v\n%s", err, &left)
	}
	toml := regexp.MustCompile(`(?m)^\[server\]\n(listen = .*\n)?`).ReplaceAllString(string(out), "")
	g := startConfigured(t, "", toml)
	if g.app.client.Jar, err = cookiejar.New(nil); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestConvertedNginxDokuWiki(t *testing.T) {
	t.Parallel()
	root, lib := dokuwiki(t)
	local := filepath.Join(root, "conf", "local.php")
	text, err := os.ReadFile(local)
	if err != nil {
		t.Fatal(err)
	}
	write(t, local, "%s$conf['userewrite'] = 1;\n", text)
	// Sluice follows no link out of the root unasked; nginx does.
	for _, name := range []string{"plugins", "tpl"} {
		if err := os.Remove(filepath.Join(root, "lib", name)); err != nil {
			t.Fatal(err)
		}
		run(t, exec.Command("cp", "-r", filepath.Join(lib, name), filepath.Join(root, "lib")))
	}
	g := startConverted(t, "nginx/dokuwiki.conf", "/usr/share/dokuwiki", root, "unix:/run/php/php8.2-fpm.sock", fpmSocket(t))
	get := func(path string) (int, string) { return g.app.at(t, "dokuwiki.example.org", path) }
	if status, page := get("/start"); status != http.StatusOK || !strings.Contains(page, "A wiki behind the gate") || !strings.Contains(page, `href="/start?do=`) {
		t.Errorf("/start: %d\n%s", status, page)
	}
	if status, page := get("/wiki:syntax?do=edit"); status != http.StatusOK || !strings.Contains(page, "wiki:syntax") {
		t.Errorf("/wiki:syntax: %d\n%s", status, head(page))
	}
	write(t, filepath.Join(root, "data/media/wiki/picture.png"), "\x89PNG a picture")
	if status, body := get("/_media/wiki:picture.png"); status != http.StatusOK || body != "\x89PNG a picture" {
		t.Errorf("/_media: %d %s", status, head(body))
	}
	for path, want := range map[string]int{"/inc/init.php": 404, "/data/pages/x.txt": 404, "/install.php": 404, wikiLogo: 200} {
		if status, _ := get(path); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
}

func TestConvertedLighttpdTrac(t *testing.T) {
	t.Parallel()
	parent, users := trac(t, "env")
	g := startConverted(t, "lighttpd/trac.conf", "/srv/trac", parent, `base + "/users"`, `"`+users+`"`,
		`"TRAC_ENV" =>`, `"PYTHONPATH" => "`+tracPath+`", "TRAC_ENV" =>`, "/usr/lib/python3/dist-packages", tracPath)
	if status, page := g.app.at(t, "trac.example.org", "/trac/wiki"); status != http.StatusOK || !strings.Contains(page, "Welcome to Trac") {
		t.Errorf("/trac/wiki: %d\n%s", status, head(page))
	}
	started := g.started(t)
	if status, css := g.app.at(t, "trac.example.org", "/trac/chrome/common/css/trac.css"); status != http.StatusOK || !strings.Contains(css, "body") || g.started(t) != started {
		t.Errorf("trac.css: %d %s", status, head(css))
	}
	if status, _ := g.app.at(t, "trac.example.org", "/trac/login"); status != http.StatusUnauthorized {
		t.Errorf("/trac/login: %d", status)
	}
	r := g.app.request(t, http.MethodGet, "/trac/login", nil)
	r.Host = "trac.example.org"
	r.SetBasicAuth("jane", "secret")
	if resp, body := g.app.do(t, r); resp.StatusCode != http.StatusFound || !strings.Contains(resp.Header.Get("Set-Cookie"), "trac_auth=") {
		t.Errorf("/trac/login: %s %s", resp.Status, head(body))
	}
	if status, _ := g.app.at(t, "other.example.org", "/trac/wiki"); status != http.StatusMisdirectedRequest {
		t.Errorf("another host: %d", status)
	}
}

func TestConvertedApacheGitweb(t *testing.T) {
	t.Parallel()
	needPerl(t, "CGI")
	need(t, "/usr/share/gitweb/gitweb.cgi")
	config := filepath.Join(t.TempDir(), "gitweb.conf")
	write(t, config, "$projectroot = %q;\n$feature{'pathinfo'}{'default'} = [1];\n1;\n", filepath.Dir(littleRepository(t)))
	g := startConverted(t, "apache/gitweb.conf", "/etc/gitweb.conf", config)
	wantContains(t, g.app.get(t, "/gitweb"), "little.git")
	wantContains(t, g.app.get(t, "/gitweb/little.git/tree"), "docs")
	g.wantFile(t, "/gitweb/static/gitweb.css", "text/css")
}
