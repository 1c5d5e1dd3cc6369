//go:build linux

package integration

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// needProofs skips a test of an application that takes long to install: "setup.sh proofs" does.
func needProofs(t testing.TB) {
	t.Helper()
	if os.Getenv("SLUICE_SOAK") == "" {
		t.Skip("set SLUICE_SOAK, as make proofs does")
	}
}

func TestDocumentedRequestTracker(t *testing.T) {
	needProofs(t)
	need(t, "/usr/share/request-tracker5/libexec/rt-server.fcgi")
	dir := t.TempDir()
	settings := filepath.Join(dir, "RT_SiteConfig.pm")
	write(t, settings, `Set($rtname, 'example.org');
Set($Organization, 'example.org');
Set($WebDomain, 'rt.example.org');
Set($DatabaseType, 'SQLite');
Set($DatabaseName, '%[1]s/rt.db');
Set($LogToSyslog, undef);
Set($LogToSTDERR, 'error');
Set($MasonDataDir, '%[1]s/mason');
Set($MasonSessionDir, '%[1]s/sessions');
1;
`, dir)
	for _, name := range []string{"mason", "sessions", "more"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	environment := []string{"RT_SITE_CONFIG=" + settings, "RT_SITE_CONFIG_DIR=" + filepath.Join(dir, "more")}
	output(t, environment, need(t, "rt-setup-database-5", "/usr/sbin/rt-setup-database-5"), "--action", "init", "--skip-create")
	name, value, _ := strings.Cut(environment[0], "=")
	more, moreValue, _ := strings.Cut(environment[1], "=")
	g := startRecipe(t, "request-tracker", "workers = 1\n", "workers = 1\nspawn.env = { "+name+" = \""+value+"\", "+more+" = \""+moreValue+"\" }\n")
	as := func(r *http.Request) string {
		t.Helper()
		r.Host = "rt.example.org"
		r.Header.Set("Referer", "http://rt.example.org/")
		_, body := g.app.do(t, r)
		return body
	}
	page := as(g.app.request(t, http.MethodGet, "/", nil))
	wantContains(t, page, `name="pass"`)
	next := regexp.MustCompile(`name="next" value="([^"]*)"`).FindStringSubmatch(page)
	if next == nil {
		t.Fatalf("no log-in in\n%s", page)
	}
	r := g.app.request(t, http.MethodPost, "/NoAuth/Login.html", strings.NewReader(url.Values{"user": {"root"}, "pass": {"password"}, "next": {next[1]}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	as(r)
	wantContains(t, as(g.app.request(t, http.MethodGet, "/", nil)), "RT at a glance")
	style := regexp.MustCompile(`href="(/NoAuth/css/[^"]+\.css|/static/css/[^"]+\.css)"`).FindStringSubmatch(page)
	if style == nil {
		t.Fatalf("no style sheet in\n%s", page)
	}
	if css := as(g.app.request(t, http.MethodGet, style[1], nil)); !strings.Contains(css, "{") {
		t.Errorf("%s: %s", style[1], head(css))
	}
}

func TestDocumentedWordPress(t *testing.T) {
	needProofs(t)
	root := filepath.Dir(need(t, "/usr/share/wordpress/wp-login.php"))
	dir := socketDir(t)
	database := filepath.Join(dir, "db")
	run(t, exec.Command(need(t, "mariadb-install-db"), "--no-defaults", "--user=root", "--auth-root-authentication-method=normal", "--skip-test-db", "--datadir="+database))
	socket := filepath.Join(dir, "db.sock")
	p := start(t, exec.Command(need(t, "mariadbd", "/usr/sbin/mariadbd"), "--no-defaults", "--user=root", "--skip-networking", "--datadir="+database, "--socket="+socket, "--pid-file="+filepath.Join(dir, "db.pid")))
	awaitSocket(t, p, socket)
	run(t, exec.Command(need(t, "mariadb"), "--no-defaults", "--user=root", "--socket="+socket, "-e", "CREATE DATABASE wordpress"))
	// Debian's wp-config.php reads /etc/wordpress; a copy has another one.
	copied := filepath.Join(dir, "wordpress")
	run(t, exec.Command("cp", "-r", root, copied))
	if err := os.Remove(filepath.Join(copied, "wp-config.php")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(copied, "wp-config.php"), `<?php
define('DB_NAME', 'wordpress');
define('DB_USER', 'root');
define('DB_PASSWORD', '');
define('DB_HOST', 'localhost:%s');
define('WP_CONTENT_DIR', '/var/lib/wordpress/wp-content');
define('WP_HTTP_BLOCK_EXTERNAL', true);
$table_prefix = 'wp_';
require_once ABSPATH . 'wp-settings.php';
`, socket)
	g := startRecipe(t, "wordpress", "unix:/run/php/php8.2-fpm.sock", fpmSocket(t), "/usr/share/wordpress", copied)
	wantContains(t, g.app.get(t, "/wp-admin/install.php?step=1"), "user_name")
	page := g.app.form(t, "/wp-admin/install.php?step=2", url.Values{
		"weblog_title": {"A blog behind the gate"}, "user_name": {"admin"}, "admin_password": {"a long password"}, "admin_password2": {"a long password"},
		"pw_weak": {"1"}, "admin_email": {"a@example.org"}, "language": {""},
	})
	wantContains(t, page, "Success!")
	// Permalinks: what is no file is WordPress's.
	run(t, exec.Command(need(t, "mariadb"), "--no-defaults", "--user=root", "--socket="+socket, "wordpress", "-e",
		"UPDATE wp_options SET option_value = '/%postname%/' WHERE option_name = 'permalink_structure'; UPDATE wp_options SET option_value = '' WHERE option_name = 'rewrite_rules'"))
	wantContains(t, g.app.get(t, "/hello-world/"), "A blog behind the gate")
	g.wantFile(t, "/wp-includes/css/buttons.css", "text/css")
	r := g.app.request(t, http.MethodPost, "/wp-login.php", strings.NewReader(url.Values{"log": {"admin"}, "pwd": {"a long password"}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if resp, body := g.app.do(t, r); resp.StatusCode != http.StatusFound {
		t.Fatalf("log-in: %s %s", resp.Status, head(body))
	}
	wantContains(t, g.app.get(t, "/wp-admin/"), "Dashboard")
	if resp, _ := g.app.do(t, g.app.request(t, http.MethodGet, "/wp-config.php", nil)); resp.StatusCode != http.StatusNotFound {
		t.Errorf("/wp-config.php: %s", resp.Status)
	}
}
