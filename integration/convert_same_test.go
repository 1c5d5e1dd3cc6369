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

// hostFiles is a tree of sites, each of which says who it is.
func hostFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"main/index.php", "same/index.php", "same/private/x.php", "replaces/index.php", "adds/index.php", "adds/start.php", "icons/i.css", "pictures/p.css",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, path, "%s <?php echo $_GET['page'] ?? 'no page';", name)
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

	served := 0
	for _, host := range []string{"same", "replaces", "adds", "another"} {
		for _, path := range []string{"/", "/index.php", "/start.php?page=x", "/page/x", "/article/x", "/icons/i.css", "/pictures/p.css", "/private/x.php", "/nothing", "/nothing.php"} {
			answer := func(s site) string {
				status, body := s.at(t, host+".example.org", path)
				if status >= http.StatusBadRequest {
					return "refused" // 403 there may be 404 here
				}
				served++
				return fmt.Sprintf("%d %s", status, body)
			}
			if want, got := answer(model), answer(ours); got != want {
				t.Errorf("%s%s: %q, and lighttpd answers %q", host, path, got, want)
			}
		}
	}
	if served < 30 {
		t.Errorf("only %d requests were served", served)
	}
}
