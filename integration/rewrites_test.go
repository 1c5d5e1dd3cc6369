//go:build linux

package integration

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// documentedSite returns the example of docs/rewrites.md below a heading, with some texts replaced.
func documentedSite(t testing.TB, heading string, replace ...string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/rewrites.md")
	if err != nil {
		t.Fatal(err)
	}
	_, below, found := strings.Cut(string(text), "\n### "+heading+"\n")
	_, block, opened := strings.Cut(below, "```toml\n")
	block, _, closed := strings.Cut(block, "```")
	if !found || !opened || !closed {
		t.Fatalf("docs/rewrites.md has no example for %s", heading)
	}
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(block, replace[i]) {
			t.Fatalf("the example for %s lacks %q", heading, replace[i])
		}
		block = strings.ReplaceAll(block, replace[i], replace[i+1])
	}
	return block
}

// startDocumented starts PHP-FPM for that site, and a gate with the example.
func startDocumented(t testing.TB, root, pool, example string) configured {
	t.Helper()
	be := startFPM(t, fpmOptions{root: root, workers: 2, pool: pool})
	return startConfigured(t, "", fmt.Sprintf("[[application]]\nname = \"php\"\npreset = \"php\"\nbackends = [%q]\nworkers = 2\n%s", be.addr, example))
}

// printer is a script that says what it was asked for.
const printer = `<?php
header("Content-Type: text/plain");
foreach (["SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REQUEST_URI"] as $name) echo $_SERVER[$name] ?? "-", " ";
`

// tree makes a directory of scripts that print, and of other files.
func tree(t testing.TB, names ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, name := range names {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		text := name
		if strings.HasSuffix(name, ".php") {
			text = printer
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// lookup is a request, and what must come of it: a part of the body, or where a redirect leads.
type lookup struct {
	path   string
	status int
	want   string
	cache  string // Cache-Control; "": any
}

func (v lookup) check(t testing.TB, s site) {
	t.Helper()
	resp, body := s.do(t, s.request(t, http.MethodGet, v.path, nil))
	got := body
	if v.status >= 300 && v.status < 400 {
		got = resp.Header.Get("Location")
	}
	if resp.StatusCode != v.status || !strings.Contains(got, v.want) {
		t.Errorf("%s: %s %.300q, want %d with %q", v.path, resp.Status, got, v.status, v.want)
	}
	if cache := resp.Header.Get("Cache-Control"); v.cache != "" && cache != v.cache {
		t.Errorf("%s: Cache-Control is %q, want %q", v.path, cache, v.cache)
	}
}

func TestWordPressRewrites(t *testing.T) {
	root := tree(t, "index.php", "wp-login.php", "wp-admin/index.php", "wp-includes/js/x.js", "wp-content/uploads/a.zip", "readme.txt")
	g := startDocumented(t, root, "", documentedSite(t, "WordPress", "/usr/share/wordpress", root))
	for _, v := range []lookup{
		{"/2006/05/a-post/?p=1", 200, "/index.php - p=1 /2006/05/a-post/?p=1", ""},
		{"/", 200, "/index.php - ", ""},
		{"/wp-login.php", 200, "/wp-login.php - ", ""},
		{"/wp-admin", 301, "/wp-admin/", ""},
		{"/wp-admin/", 200, "/wp-admin/index.php - ", ""},
		{"/wp-includes/js/x.js?ver=6", 200, "wp-includes/js/x.js", "public, max-age=31536000, immutable"},
		{"/wp-content/uploads/a.zip", 200, "wp-content/uploads/a.zip", "public, max-age=86400"},
		{"/wp-content/uploads/missing.jpg", 404, "", ""},
		{"/readme.txt", 404, "", ""},
		{"/missing.jpg", 200, "/index.php - ", ""},
	} {
		v.check(t, g.app)
	}
	if n := g.gates(t)["php"][1]; n != 5 {
		t.Errorf("the application was asked %d times, want 5: files and redirects are not its affair", n)
	}
}

func TestNextcloudRewrites(t *testing.T) {
	root := tree(t, "index.php", "remote.php", "public.php", "status.php", "ocs/v2.php", "occ", "config/config.php", "lib/base.php",
		"apps/files/js/a.js", "core/css/b.css", "core/fonts/c.woff2", "apps/files/ajax/d.php", "data/u/e.txt", ".htaccess", "3rdparty/x.php")
	g := startDocumented(t, root, "", documentedSite(t, "Nextcloud", "/var/www/nextcloud", root))
	for _, v := range []lookup{
		{"/.well-known/carddav", 301, "/remote.php/dav/", ""},
		{"/.well-known/caldav", 301, "/remote.php/dav/", ""},
		{"/.well-known/webfinger?resource=a", 301, "/index.php/.well-known/webfinger?resource=a", ""},
		{"/index.php/.well-known/webfinger?resource=a", 200, "/index.php /.well-known/webfinger resource=a ", ""},
		{"/remote/x?y", 301, "/remote.php/remote/x?y", ""},
		{"/remote.php/dav/files/a%20b", 200, "/remote.php /dav/files/a b  /remote.php/dav/files/a%20b", ""},
		{"/ocs/v2.php/apps?format=json", 200, "/ocs/v2.php /apps format=json ", ""},
		{"/apps/files/?dir=/", 200, "/index.php /apps/files/ dir=/ /apps/files/?dir=/", ""},
		{"/s/abc", 200, "/index.php /s/abc ", ""},
		{"/", 200, "/index.php - ", ""},
		{"/apps/files/ajax/d.php", 200, "/index.php /apps/files/ajax/d.php ", ""},
		{"/apps/files/js/a.js?v=1", 200, "apps/files/js/a.js", "public, max-age=15778463, immutable"},
		{"/core/css/b.css", 200, "core/css/b.css", "public, max-age=15778463"},
		{"/core/fonts/c.woff2", 200, "core/fonts/c.woff2", "max-age=604800"},
		{"/missing.css", 200, "/index.php /missing.css ", ""},
		{"/config/config.php", 404, "", ""},
		{"/lib/base.php", 404, "", ""},
		{"/3rdparty/x.php", 404, "", ""},
		{"/data/u/e.txt", 404, "", ""},
		{"/occ", 404, "", ""},
		{"/.htaccess", 404, "", ""},
	} {
		v.check(t, g.app)
	}
}

func TestMediaWikiRewrites(t *testing.T) {
	install := need(t, "/usr/share/mediawiki/maintenance/install.php")
	dir := t.TempDir()
	cmd := exec.Command(need(t, "php"), install, "--dbtype", "sqlite", "--dbpath", dir, "--dbname", "wiki", "--confpath", dir,
		"--server", "http://wiki.example.org", "--scriptpath", "", "--pass", "correct horse battery", "A wiki", "admin")
	run(t, cmd)
	settings := filepath.Join(dir, "LocalSettings.php")
	text, err := os.ReadFile(settings)
	if err != nil {
		t.Fatal(err)
	}
	write(t, settings, "%s\n$wgArticlePath = '/wiki/$1';\n$wgCacheDirectory = '%s';\n", strings.ReplaceAll(string(text), "%", "%%"), dir)
	g := startDocumented(t, "/var/lib/mediawiki", "env[MW_CONFIG_FILE] = "+settings+"\n", documentedSite(t, "MediaWiki"))
	for _, v := range []lookup{
		{"/", 302, "/wiki/Main_Page", ""},
		{"/wiki/Main_Page", 200, "MediaWiki has been installed", ""},
		{"/wiki/Main_Page?action=raw", 200, "<strong>MediaWiki has been installed.</strong>", ""},
		{"/wiki/A%26B%3F_%C3%A9/c", 404, "A&amp;B? é/c", ""},
		{"/wiki/Special:Version", 200, "/wiki/Special:Version", ""},
		{"/index.php?title=Main_Page&action=history", 200, "Revision history", ""},
		{"/api.php?action=query&meta=siteinfo&format=json", 200, `"articlepath":"/wiki/$1"`, ""},
		{"/rest.php/v1/page/Main_Page", 200, `"title":"Main Page"`, ""},
		{"/load.php?modules=startup&only=scripts&raw=1&skin=vector", 200, "mw.loader", ""},
		{"/resources/assets/poweredby_mediawiki_88x31.png", 200, "PNG", "public, max-age=604800"},
		{"/images/missing.png", 404, "", ""},
		{"/maintenance/install.php", 404, "", ""},
		{"/includes/DefaultSettings.php", 404, "", ""},
		{"/LocalSettings.php", 404, "", ""},
		{"/autoload.php", 404, "", ""},
	} {
		v.check(t, g.app)
	}
}

func TestDokuWikiRewrites(t *testing.T) {
	root, lib := dokuwiki(t)
	file, err := os.OpenFile(filepath.Join(root, "conf/local.php"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("$conf['userewrite'] = 1;\n"); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"data/pages/notes/gate.txt": "====== Behind the gate ======\n", "data/media/notes/a.txt": "a medium\n"} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	g := startDocumented(t, root, "", documentedSite(t, "DokuWiki", "/usr/share/dokuwiki", root, "/var/lib/dokuwiki", lib))
	for _, v := range []lookup{
		{"/start", 200, "A wiki behind the gate", ""},
		{"/notes:gate", 200, "Behind the gate</h1>", ""},
		{"/notes:gate?do=edit", 200, "====== Behind the gate ======", ""},
		{"/_export/raw/notes:gate", 200, "====== Behind the gate ======", ""},
		{"/_media/notes:a.txt", 200, "a medium", ""},
		{"/_detail/notes:a.txt", 200, "a.txt", ""},
		{"/lib/exe/css.php?t=dokuwiki", 200, ".dokuwiki", ""},
		{wikiLogo, 200, "PNG", ""},
		{"/conf/users.auth.php", 404, "", ""},
		{"/inc/init.php", 404, "", ""},
		{"/data/pages/notes/gate.txt", 404, "", ""},
		{"/install.php", 404, "", ""},
	} {
		v.check(t, g.app)
	}
}
