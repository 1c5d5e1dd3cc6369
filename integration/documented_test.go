//go:build linux

package integration

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// recipeFile is the sluice.toml of a page of docs/recipes, with other paths and another port: what is to
// be replaced must be there.
func recipeFile(t testing.TB, page string, replace ...string) string {
	t.Helper()
	text := fenced(t, page, "toml")
	for pair := range slices.Chunk(replace, 2) {
		if !strings.Contains(text, pair[0]) {
			t.Fatalf("docs/recipes/%s.md has no %s in\n%s", page, pair[0], text)
		}
	}
	return strings.NewReplacer(replace...).Replace(text)
}

// fenced is the block of a language in a page of docs/recipes.
func fenced(t testing.TB, page, language string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", "recipes", page+".md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 1 {
		t.Fatalf("docs/recipes/%s.md has %d blocks of %s", page, len(blocks), language)
	}
	return blocks[0][1]
}

// startRecipe serves the configuration of a page.
func startRecipe(t testing.TB, page string, replace ...string) configured {
	t.Helper()
	const listen = "[server]\nlisten = [\":80\"]\n"
	text := recipeFile(t, page, append(replace, listen, "")...)
	g := startConfigured(t, "", text)
	if out := g.output.String(); strings.Contains(out, "a setting has no effect") {
		t.Errorf("a setting of docs/recipes/%s.md has no effect:\n%s", page, out)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	g.app.client.Jar = jar
	return g
}

// wantFile fails unless a path is a file that Sluice sends itself.
func (g *configured) wantFile(t testing.TB, path, contentType string) {
	t.Helper()
	before := g.started(t)
	resp, body := g.app.do(t, g.app.request(t, http.MethodGet, path, nil))
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), contentType) {
		t.Errorf("%s: %s %q, %q", path, resp.Status, resp.Header.Get("Content-Type"), head(body))
	}
	if after := g.started(t); after != before {
		t.Errorf("%s was sent by the application", path)
	}
}

// started is how many requests the applications were given.
func (g *configured) started(t testing.TB) (n int) {
	t.Helper()
	for _, a := range g.gates(t) {
		n += a[1]
	}
	return n
}

// fpmSocket starts the PHP-FPM of Debian's pool on another socket.
func fpmSocket(t testing.TB, environment ...string) string {
	t.Helper()
	var pool strings.Builder
	for _, kv := range environment {
		name, value, _ := strings.Cut(kv, "=")
		pool.WriteString("env[" + name + "] = " + value + "\n")
	}
	return startFPM(t, fpmOptions{workers: 5, pool: pool.String()}).addr
}

// tracPath is where setup.sh has Debian's package of Trac.
const tracPath = "/usr/local/share/sluice-test/trac/usr/lib/python3/dist-packages"

// trac makes environments below a directory, and a file with the user jane.
func trac(t testing.TB, names ...string) (parent, users string) {
	t.Helper()
	need(t, tracPath+"/trac/web/fcgi_frontend.py")
	python := need(t, "/usr/bin/python3")
	parent = t.TempDir()
	for _, name := range names {
		cmd := exec.Command(python, "-c", "import sys; from trac.admin.console import run; sys.exit(run(sys.argv[1:]))",
			filepath.Join(parent, name), "initenv", "Project "+name, "sqlite:db/trac.db")
		cmd.Env = append(os.Environ(), "PYTHONPATH="+tracPath)
		run(t, cmd)
	}
	users = filepath.Join(t.TempDir(), "trac.htpasswd")
	run(t, exec.Command(need(t, "htpasswd"), "-cbB", users, "jane", "secret"))
	return parent, users
}

func TestDocumentedTrac(t *testing.T) {
	t.Parallel()
	parent, users := trac(t, "one", "two")
	g := startRecipe(t, "trac", "/var/lib/sluice/trac", parent, "/etc/sluice/trac.htpasswd", users,
		"spawn.env = { ", "spawn.env = { PYTHONPATH = \""+tracPath+"\", ")
	g.wantTrac(t)
}

// Trac in a server that speaks HTTP, with the module of the page.
func TestDocumentedTracUnderGunicorn(t *testing.T) {
	t.Parallel()
	parent, users := trac(t, "one", "two")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "tracapp.py"), "%s", fenced(t, "trac-gunicorn", "python"))
	g := startRecipe(t, "trac-gunicorn", "/usr/bin/gunicorn", need(t, "/usr/bin/gunicorn"), "/var/lib/sluice/trac.wsgi", dir,
		"/var/lib/sluice/trac", parent, "/etc/sluice/trac.htpasswd", users, "spawn.env = { ", "spawn.env = { PYTHONPATH = \""+tracPath+"\", ")
	g.wantTrac(t)
	r := g.app.request(t, http.MethodGet, "/one/wiki", nil) // without the cookie of the log-in
	r.Header.Set("X-Remote-User", "jane")
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || strings.Contains(string(body), "logged in as") {
		t.Errorf("a client that says who it is: %s, %v\n%s", resp.Status, err, head(string(body)))
	}
}

// wantTrac fails unless there are the projects one and two, and jane can log in.
func (g *configured) wantTrac(t testing.TB) {
	t.Helper()
	page := g.app.get(t, "/")
	wantContains(t, page, "Project one")
	wantContains(t, page, "Project two")
	wantContains(t, g.app.get(t, "/two/wiki"), "Welcome to Trac")
	wantContains(t, g.app.get(t, "/one/chrome/common/css/trac.css"), "body")
	for _, project := range []string{"/one", "/two"} {
		if resp, _ := g.app.do(t, g.app.request(t, http.MethodGet, project+"/login", nil)); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s/login without a password: %s", project, resp.Status)
		}
		r := g.app.request(t, http.MethodGet, project+"/login", nil)
		r.SetBasicAuth("jane", "secret")
		if resp, body := g.app.do(t, r); resp.StatusCode != http.StatusFound {
			t.Errorf("%s/login: %s %s", project, resp.Status, head(body))
		}
		wantContains(t, g.app.get(t, project+"/wiki"), "logged in as")
	}
}

func TestDocumentedDokuWiki(t *testing.T) {
	t.Parallel()
	root, lib := dokuwiki(t)
	local := filepath.Join(root, "conf", "local.php")
	text, err := os.ReadFile(local)
	if err != nil {
		t.Fatal(err)
	}
	write(t, local, "%s$conf['userewrite'] = 2;\n", text) // as the page has it
	// A copy has all below its root: see dokuwiki.
	g := startRecipe(t, "dokuwiki", "unix:/run/php/php8.2-fpm.sock", fpmSocket(t), "/usr/share/dokuwiki", root, "/var/lib/dokuwiki", lib)
	g.app.client.CheckRedirect = nil
	page := g.app.get(t, "/")
	wantContains(t, page, "A wiki behind the gate")
	wantContains(t, page, `href="/doku.php/start?do=`)
	wantContains(t, g.app.get(t, "/doku.php/wiki:syntax"), "wiki:syntax")
	g.wantFile(t, wikiLogo, "image/png")
	form := g.app.get(t, "/doku.php/start?do=login")
	page = g.app.form(t, "/doku.php/start", url.Values{
		"sectok": {hidden(t, form, "sectok")}, "do": {"login"}, "id": {"start"}, "u": {wikiUser}, "p": {wikiPassword},
	})
	wantContains(t, page, "do=logout")
	if resp, _ := g.app.do(t, g.app.request(t, http.MethodGet, "/inc/init.php", nil)); resp.StatusCode != http.StatusNotFound {
		t.Errorf("/inc/init.php: %s", resp.Status)
	}
}

func TestDocumentedMediaWiki(t *testing.T) {
	t.Parallel()
	root := filepath.Dir(need(t, "/usr/share/mediawiki/load.php"))
	dir := t.TempDir()
	const password = "a long password of a test"
	run(t, exec.Command(need(t, "php"), root+"/maintenance/install.php", "--confpath", dir, "--dbtype", "sqlite", "--dbpath", filepath.Join(dir, "db"),
		"--dbname", "wiki", "--server", "http://wiki.example.org", "--scriptpath", "", "--pass", password, "My wiki", "Admin"))
	settings := filepath.Join(dir, "LocalSettings.php")
	text, err := os.ReadFile(settings)
	if err != nil {
		t.Fatal(err)
	}
	write(t, settings, "%s\n$wgArticlePath = \"/wiki/$1\";\n$wgServer = WebRequest::detectServer();\n", text) // the test's port is any
	g := startRecipe(t, "mediawiki", "unix:/run/php/php8.2-fpm.sock", fpmSocket(t, "MW_CONFIG_FILE="+settings))
	page := g.app.get(t, "/wiki/Main_Page")
	wantContains(t, page, "MediaWiki has been installed")
	wantContains(t, page, `href="/wiki/Special:RecentChanges`)
	g.wantFile(t, "/resources/assets/poweredby_mediawiki_88x31.png", "image/png")
	wantContains(t, g.app.get(t, "/load.php?modules=skins.vector.styles.legacy&only=styles&skin=vector"), ".mw-body")
	for _, path := range []string{"/LocalSettings.php", "/maintenance/install.php", "/includes/WebStart.php"} {
		if resp, _ := g.app.do(t, g.app.request(t, http.MethodGet, path, nil)); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	form := g.app.get(t, "/wiki/Special:UserLogin")
	token := regexp.MustCompile(`<input[^>]*name="wpLoginToken"[^>]*>`).FindString(form)
	value := regexp.MustCompile(`value="([^"]*)"`).FindStringSubmatch(token)
	if value == nil {
		t.Fatalf("no token in\n%s", form)
	}
	g.app.client.CheckRedirect = nil
	page = g.app.form(t, "/index.php?title=Special:UserLogin", url.Values{
		"wpName": {"Admin"}, "wpPassword": {password}, "wpLoginToken": {value[1]}, "authAction": {"login"}, "title": {"Special:UserLogin"},
	})
	wantContains(t, page, "Special:UserLogout")
}

func TestDocumentedRoundcube(t *testing.T) {
	t.Parallel()
	need(t, "/var/lib/roundcube/public_html/index.php")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "defaults.inc.php"), "<?php include '/etc/roundcube/defaults.inc.php';\n")
	write(t, filepath.Join(dir, "config.inc.php"), `<?php
$config = [];
$config['db_dsnw'] = 'sqlite:///%[1]s/mail.db?mode=0600';
$config['imap_host'] = ['127.0.0.1:1'];
$config['des_key'] = 'twenty-four characters...';
$config['plugins'] = [];
$config['skin'] = 'elastic';
$config['log_dir'] = '%[1]s';
$config['temp_dir'] = '%[1]s';
`, dir)
	g := startRecipe(t, "roundcube", "unix:/run/php/php8.2-fpm.sock", fpmSocket(t, "ROUNDCUBE_CONFIG_DIR="+dir))
	page := g.app.get(t, "/")
	wantContains(t, page, `name="_pass"`)
	style := regexp.MustCompile(`href="(skins/elastic/styles/styles[^"]*\.css[^"]*)"`).FindStringSubmatch(page)
	if style == nil {
		t.Fatalf("no style sheet in\n%s", page)
	}
	g.wantFile(t, "/"+style[1], "text/css")
	g.wantFile(t, "/program/js/app.min.js", "text/javascript")
	// Without a mail server, a log-in comes as far as the attempt to reach it.
	token := regexp.MustCompile(`name="_token" value="([^"]*)"`).FindStringSubmatch(page)
	if token == nil {
		t.Fatalf("no token in\n%s", page)
	}
	r := g.app.request(t, http.MethodPost, "/?_task=login", strings.NewReader(url.Values{
		"_token": {token[1]}, "_task": {"login"}, "_action": {"login"}, "_user": {"jane"}, "_pass": {"secret"},
	}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if _, body := g.app.do(t, r); !strings.Contains(body, "Connection to storage server failed") {
		t.Errorf("a log-in:\n%s", head(body))
	}
}

func TestDocumentedGitweb(t *testing.T) {
	t.Parallel()
	needPerl(t, "CGI::Fast")
	need(t, "/usr/share/gitweb/gitweb.cgi")
	config := filepath.Join(t.TempDir(), "gitweb.conf")
	write(t, config, "$projectroot = %q;\n$feature{'pathinfo'}{'default'} = [1];\n1;\n", filepath.Dir(littleRepository(t)))
	g := startRecipe(t, "gitweb", "[[site]]", "[[site]]\nenv = { GITWEB_CONFIG = \""+config+"\" }")
	wantContains(t, g.app.get(t, "/"), "little.git")
	wantContains(t, g.app.get(t, "/little.git/tree"), "docs")
	g.wantFile(t, "/static/gitweb.css", "text/css")
}

func TestDocumentedCgit(t *testing.T) {
	t.Parallel()
	need(t, "/usr/lib/cgit/cgit.cgi")
	need(t, "/usr/sbin/fcgiwrap")
	config := filepath.Join(t.TempDir(), "cgitrc")
	write(t, config, "css=/cgit-css/cgit.css\nvirtual-root=/\nscan-path=%s\n", filepath.Dir(littleRepository(t)))
	g := startRecipe(t, "cgit", "env = { ", "env = { CGIT_CONFIG = \""+config+"\", ")
	wantContains(t, g.app.get(t, "/"), "little.git")
	wantContains(t, g.app.get(t, "/little.git/tree/docs"), "größe.txt")
	g.wantFile(t, "/cgit-css/cgit.css", "text/css")
}

func TestDocumentedMapServer(t *testing.T) {
	t.Parallel()
	need(t, "/usr/lib/cgi-bin/mapserv")
	dir := t.TempDir()
	config := regexp.MustCompile(`(?m)^    CONFIG\n(?:.*\n)*?^    END\n`).FindString(readDoc(t, "recipes/mapserver.md"))
	if config == "" {
		t.Fatal("the page has no configuration of MapServer")
	}
	write(t, filepath.Join(dir, "mapserver.conf"), "%s", strings.ReplaceAll(config, "/srv/maps/", dir+"/"))
	write(t, filepath.Join(dir, "world.map"), `MAP
  NAME "world"
  SIZE 200 100
  EXTENT 0 0 200 100
  IMAGETYPE PNG
  LAYER
    NAME "square"
    TYPE POLYGON
    STATUS DEFAULT
    FEATURE
      POINTS 20 20 20 80 80 80 80 20 20 20 END
    END
    CLASS
      STYLE
        COLOR 200 0 0
      END
    END
  END
END
`)
	g := startRecipe(t, "mapserver", "/etc/mapserver.conf", filepath.Join(dir, "mapserver.conf"))
	for range 4 {
		if image := g.app.get(t, "/maps?mode=map&map="+filepath.Join(dir, "world.map")); !strings.HasPrefix(image, "\x89PNG") {
			t.Fatalf("the map is %s", head(image))
		}
	}
	if page := g.app.get(t, "/maps?mode=map&map=/etc/passwd"); strings.Contains(page, "root:") || !strings.Contains(page, "Web application error") && !strings.Contains(page, "MapServer Message") {
		t.Errorf("another file: %s", head(page))
	}
}

func TestDocumentedComet(t *testing.T) {
	t.Parallel()
	g := startRecipe(t, "comet", "/usr/local/bin/comet", compiled(t, "comet.c"), "workers = 100", "workers = 4\nqueue.long_timeout = \"200ms\"")
	// More polls than workers: those that find none are told that there is no news, and others are answered meanwhile.
	var polls []<-chan outcome
	for range 12 {
		polls = append(polls, g.app.deliver(g.app.request(t, http.MethodGet, "/poll?t=news&ms=3000", nil)))
	}
	eventually(t, "polls hold workers", func() error {
		if g.started(t) == 0 {
			return errNotYet
		}
		return nil
	})
	if got := g.app.get(t, "/hello"); got != "hello\n" {
		t.Errorf("beside polls: %q", got)
	}
	count := make(map[int]int)
	for _, poll := range polls {
		o := <-poll
		if o.err != nil {
			t.Fatal(o.err)
		}
		count[o.status]++
		if o.status == http.StatusOK && o.body != "news" && o.body != "news\n" {
			t.Errorf("a poll is answered %q", o.body)
		}
	}
	if count[http.StatusOK] == 0 || count[http.StatusNoContent] == 0 || count[http.StatusOK]+count[http.StatusNoContent] != len(polls) {
		t.Errorf("polls are answered %v", count)
	}
}

// The server in front, as the page configures it, tells Sluice who the client is and how it came; what the
// client says of it counts for nothing.
func TestDocumentedBehindAProxy(t *testing.T) {
	t.Parallel()
	app := startLibfcgi(t, 2)
	g := startConfigured(t, "", recipeFile(t, "behind-a-proxy", "[server]\nlisten = [\"127.0.0.1:8080\"]\n", "", "unix:/run/app.sock", app.addr))
	to := strings.TrimPrefix(g.url, "http://")
	for _, tt := range []struct {
		name, language, before, after string
	}{
		{"nginx", "nginx", "daemon off; pid @DIR@/pid; error_log stderr; @USER@ events {}\nhttp { access_log off; client_body_temp_path @DIR@/b; fastcgi_temp_path @DIR@/f; scgi_temp_path @DIR@/s; proxy_temp_path @DIR@/p; uwsgi_temp_path @DIR@/u;\nserver { listen @ADDR@;\n", "}}\n"},
		{"Apache", "apache", "ServerRoot /usr/lib/apache2\nServerName localhost\nListen @ADDR@\nPidFile @DIR@/pid\nErrorLog /dev/stderr\nMutex file:@DIR@\nLoadModule mpm_event_module modules/mod_mpm_event.so\nLoadModule proxy_module modules/mod_proxy.so\nLoadModule proxy_http_module modules/mod_proxy_http.so\nLoadModule headers_module modules/mod_headers.so\nLoadModule authz_core_module modules/mod_authz_core.so\nUser www-data\nGroup www-data\n", ""},
		{"HAProxy", "haproxy", "defaults\n\tmode http\n\ttimeout connect 5s\n\ttimeout client 60s\n\ttimeout server 60s\nfrontend site\n\tbind @ADDR@\n\tdefault_backend sluice\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var w webServer
			for _, w = range webServers {
				if w.name == tt.name {
					break
				}
			}
			w.config = tt.before + strings.ReplaceAll(fenced(t, "behind-a-proxy", tt.language), "127.0.0.1:8080", to) + tt.after
			s := newSite(t, w.start(t, "", ""))
			r := s.request(t, http.MethodGet, "/params", nil)
			r.Host = "wiki.example.org"
			r.Header.Set("X-Forwarded-For", "192.0.2.1")
			r.Header.Set("X-Forwarded-Proto", "https")
			resp, body := s.do(t, r)
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("%s: %s", resp.Status, head(body))
			}
			for _, want := range []string{"REMOTE_ADDR=127.0.0.1\n", "SERVER_NAME=wiki.example.org\n", "REQUEST_SCHEME=http\n"} {
				wantContains(t, body, want)
			}
			if strings.Contains(body, "HTTPS=") || strings.Contains(body, "192.0.2.1") {
				t.Errorf("the client's own fields count:\n%s", body)
			}
		})
	}
	if out := g.output.String(); strings.Contains(out, "trusted") {
		t.Errorf("the log says\n%s", out)
	}
}
