//go:build linux

package integration

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// hostFiles is a tree of sites, each of which says who it is, and what it is told.
func hostFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} { // the web server may be another user
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{
		"main/index.php", "same/index.php", "same/private/x.php", "replaces/index.php", "adds/index.php", "adds/start.php", "icons/i.css", "pictures/p.css",
		"main/start.php", "main/private/x.php", "main/members/x.php", "same/start.php", "same/members/x.php",
		"replaces/start.php", "replaces/private/x.php", "replaces/members/x.php", "pictures/i.css",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, path, "%s <?php echo $_GET['page'] ?? 'no page', ' ', getenv('FROM'), ' ', getenv('POOL');", name)
	}
	return dir
}

// Hosts that take over what lighttpd's file says for all of them, replace it or add to it, answer as lighttpd does.
func TestConvertedLighttpdHosts(t *testing.T) {
	t.Parallel()
	program := need(t, "lighttpd", "/usr/sbin/lighttpd")
	dir, addr := hostFiles(t), freeAddress(t)
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	php := strings.TrimPrefix(startPHPCGI(t, dir, 4).addr, "unix:")
	const fixture = "lighttpd/hosts.conf"
	replace := []string{"/srv/www", dir, "/run/php.sock", php}
	text, err := os.ReadFile(filepath.Join("..", "cmd", "sluice", "internal", "convert", "testdata", fixture))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "lighttpd.conf")
	write(t, file, "server.bind = \"127.0.0.1\"\n%s", strings.NewReplacer(append(replace, "server.port = 80", "server.port = "+port)...).Replace(string(text)))
	lighttpd := start(t, exec.Command(program, "-D", "-f", file))
	awaitAddress(t, lighttpd, "tcp", addr)
	model, ours := newSite(t, "http://"+addr), startConverted(t, fixture, replace...).app

	var asked []hostRequest
	for _, host := range []string{"same", "replaces", "adds", "another"} {
		for _, path := range []string{"/", "/index.php", "/start.php?page=x", "/page/x", "/article/x", "/icons/i.css", "/pictures/p.css", "/private/x.php", "/nothing", "/nothing.php"} {
			asked = append(asked, hostRequest{host: host, path: path})
		}
	}
	wantSame(t, model, ours, asked, 20)
}

// hostRequest is a request for one of the hosts in the fixtures.
type hostRequest struct {
	host, path string
	user       bool // it has a name and a password
}

// answer is what a request comes to: the body, where it leads, or that it is refused, be it with 403 or 404.
func (h hostRequest) answer(t *testing.T, s site) string {
	t.Helper()
	r := s.request(t, http.MethodGet, h.path, nil)
	if r.Host = h.host + ".example.org"; h.user {
		r.SetBasicAuth("jane", "secret")
	}
	resp, text := s.do(t, r)
	switch to, err := resp.Location(); {
	case err == nil:
		host := strings.NewReplacer(strings.TrimPrefix(s.url, "http://"), "", r.Host, "").Replace(to.Host)
		return fmt.Sprintf("%d %s%s", resp.StatusCode, host, to.Path)
	case resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusNotFound:
		return "refused"
	case resp.StatusCode >= http.StatusBadRequest:
		return resp.Status
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, text)
}

// wantSame asks both, and wants the same answers, of which so many at least are no refusals.
func wantSame(t *testing.T, model, ours site, asked []hostRequest, least int) {
	t.Helper()
	served := 0
	for _, r := range asked {
		want, got := r.answer(t, model), r.answer(t, ours)
		if got != want {
			t.Errorf("%+v: %q, and the web server answers %q", r, got, want)
		}
		if want != "refused" {
			served++
		}
	}
	if served < least {
		t.Errorf("only %d of %d requests were served", served, len(asked))
	}
}

// Virtual hosts that take over what Apache's main server has, replace it or add to it, answer as Apache does.
func TestConvertedApacheHosts(t *testing.T) {
	t.Parallel()
	program := need(t, "apache2", "/usr/sbin/apache2")
	dir, addr, own := hostFiles(t), freeAddress(t), socketDir(t)
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	users := filepath.Join(dir, "users")
	run(t, exec.Command(need(t, "htpasswd"), "-cbB", users, "jane", "secret"))
	const fixture = "apache/hosts.conf"
	replace := []string{"/srv/www", dir, "/etc/apache2/users", users}
	for name, addr := range map[string]string{"wiki": "", "blog": "", "php": fpmSocket(t, "POOL=one"), "php2": fpmSocket(t, "POOL=two")} {
		if addr == "" {
			addr, _ = startNamed(t, name)
		}
		socket := strings.TrimPrefix(addr, "unix:")
		for path, mode := range map[string]os.FileMode{socket: 0o666, filepath.Dir(socket): 0o755} { // Apache is another user
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
		}
		replace = append(replace, "/run/"+name+".sock", socket)
	}
	text, err := os.ReadFile(filepath.Join("..", "cmd", "sluice", "internal", "convert", "testdata", fixture))
	if err != nil {
		t.Fatal(err)
	}
	var server strings.Builder
	for module := range strings.FieldsSeq("mpm_event proxy proxy_fcgi alias rewrite dir env mime authz_core authz_user authn_core authn_file auth_basic") {
		fmt.Fprintf(&server, "LoadModule %s_module modules/mod_%[1]s.so\n", module)
	}
	file := filepath.Join(own, "conf")
	write(t, file, "ServerRoot /usr/lib/apache2\nPidFile %s/pid\nErrorLog /dev/stderr\nMutex file:%[1]s\nTypesConfig /etc/mime.types\nUser www-data\nGroup www-data\n%s%s", own, &server,
		strings.NewReplacer(append(replace, "Listen 80\n", "Listen "+addr+"\n", "*:80", "*:"+port)...).Replace(string(text)))
	apache := start(t, exec.Command(program, "-f", file, "-DFOREGROUND"))
	awaitAddress(t, apache, "tcp", addr)
	model, ours := newSite(t, "http://"+addr), startConverted(t, fixture, replace...).app

	var asked []hostRequest
	for _, host := range []string{"same", "replaces", "adds", "proxied", "www.same"} {
		for _, path := range []string{
			"/", "/index.php", "/start.php?page=x", "/page/x", "/article/x", "/icons/i.css", "/pictures/p.css", "/private/x.php", "/members/x.php",
			"/old", "/old/older", "/old/older/x", "/blog/a", "/wiki/a/b", "/nothing", "/nothing.php", "/nothing?page=y",
		} {
			if host == "www.same" && strings.HasPrefix(path, "/wiki") || host == "adds" && path == "/nothing.php" {
				continue // docs/convert.md says what is different, and the converter
			}
			asked = append(asked, hostRequest{host: host, path: path})
		}
		asked = append(asked, hostRequest{host: host, path: "/members/x.php", user: true})
	}
	wantSame(t, model, ours, asked, 60)
}
