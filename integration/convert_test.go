//go:build linux

package integration

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// converted converts a configuration of another server, one of those that cmd/sluice/internal/convert is tested
// with, with its paths replaced.
func converted(t *testing.T, fixture string, replace ...string) (toml string) {
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
	return string(out)
}

// startConverted serves what a configuration is converted to.
func startConverted(t *testing.T, fixture string, replace ...string) configured {
	t.Helper()
	toml := regexp.MustCompile(`(?m)^\[server\]\n(listen = .*\n)?`).ReplaceAllString(converted(t, fixture, replace...), "")
	g := startConfigured(t, "", toml)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	g.app.client.Jar = jar
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

// A wiki that nginx has served with TLS, as certbot leaves its file, is served with TLS: to a load balancer that
// begins connections with the PROXY protocol, with the certificate of each host, redirects and HSTS.
func TestConvertedNginxTLS(t *testing.T) {
	t.Parallel()
	addr, _ := startNamed(t, "wiki")
	ca, dir := newAuthority(t), t.TempDir()
	for i, name := range []string{"wiki", "wiki-ecdsa", "both"} {
		names := map[string][]string{"both": {"both.example.org"}}[name]
		if names == nil {
			names = []string{"wiki.example.org", "www.wiki.example.org"}
		}
		file := filepath.Join(dir, name+".crt")
		ca.issue(t, file, int64(i+2), names...)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		i := strings.Index(string(text), "-----BEGIN PRIVATE KEY")
		write(t, file, "%s", text[:i])
		write(t, filepath.Join(dir, name+".key"), "%s", text[i:])
	}
	toml := converted(t, "nginx/tls.conf", "/etc/ssl/", dir+"/", "unix:/run/wiki.sock", addr, "10.0.0.0/8", "127.0.0.1")
	for _, part := range []string{"listen = [\":80\", \"https://:443\"]\n", "proxy_protocol = [\"127.0.0.1\"]\n", "tls.min_version = \"1.3\"\n"} {
		if !strings.Contains(toml, part) {
			t.Fatalf("no %s in\n%s", part, toml)
		}
	}
	file := filepath.Join(t.TempDir(), "sluice.toml")
	write(t, file, "%s", strings.Replace(toml, "listen = [\":80\", \"https://:443\"]\n", "listen = [\"127.0.0.1:0\", \"https://127.0.0.1:0\"]\nstatus = \"127.0.0.1:0\"\naccess_log = \"off\"\n", 1))
	gate := runGate(t, socketDir(t), []string{sluiceBinary(), "serve", "--config", file})
	plain, secure := strings.TrimPrefix(gate.url, "http://"), gate.secureAddress(t)
	_, port, _ := net.SplitHostPort(secure)

	ask := func(host, path string, overTLS bool, versions ...uint16) (*http.Response, string) {
		t.Helper()
		s, to := newSite(t, "http://"+host), plain
		if overTLS {
			s, to = ca.secureSite(t, secure, host, true), secure
		}
		transport := s.client.Transport.(*http.Transport)
		if len(versions) > 0 {
			transport.TLSClientConfig.MaxVersion = versions[0]
		}
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, "tcp", to)
			if err == nil {
				_, err = io.WriteString(c, "PROXY TCP4 192.0.2.7 192.0.2.1 4000 443\r\n")
			}
			return c, err
		}
		s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		resp, err := s.client.Do(s.request(t, http.MethodGet, path, nil))
		if err != nil {
			if len(versions) > 0 {
				return nil, err.Error()
			}
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(body)
	}
	for _, tt := range []struct {
		host           string
		overTLS        bool
		status         int
		location, hsts string
	}{
		{"wiki.example.org", true, 200, "", "max-age=31536000; includeSubDomains; preload"},
		{"wiki.example.org", false, 301, "https://wiki.example.org:" + port + "/page", ""},
		{"www.wiki.example.org", true, 301, "https://wiki.example.org/page", ""},
		{"www.wiki.example.org", false, 301, "https://www.wiki.example.org:" + port + "/page", ""},
		{"both.example.org", true, 200, "", ""},
		{"both.example.org", false, 200, "", ""},
	} {
		resp, body := ask(tt.host, "/page", tt.overTLS)
		if resp.StatusCode != tt.status || resp.Header.Get("Location") != tt.location || resp.Header.Get("Strict-Transport-Security") != tt.hsts || tt.status == 200 && !strings.Contains(body, "wiki") {
			t.Errorf("%s, TLS %t: %s %v\n%s", tt.host, tt.overTLS, resp.Status, resp.Header, head(body))
		}
		if tt.overTLS && (resp.ProtoMajor != 2 || resp.TLS.PeerCertificates[0].VerifyHostname(tt.host) != nil) {
			t.Errorf("%s: %s, %v", tt.host, resp.Proto, resp.TLS.PeerCertificates[0].DNSNames)
		}
	}
	if resp, text := ask("wiki.example.org", "/page", true, tls.VersionTLS12); resp != nil || !strings.Contains(text, "protocol version") {
		t.Errorf("TLS 1.2: %v %s", resp, text)
	}
}
