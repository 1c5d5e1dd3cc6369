//go:build linux

package caddy

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// missing ends a test whose backend is not installed. Only a laptop without it skips.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" || os.Geteuid() == 0 {
		t.Fatalf("%s is not installed: run integration/setup.sh as root", what)
	}
	t.Skipf("\n*** NOT TESTED: %s is not installed; integration/setup.sh installs it on Debian ***", what)
}

// startFPM runs PHP-FPM until the test ends, and returns its address. pool are further
// lines of its configuration.
func startFPM(t *testing.T, workers int, pool ...string) string {
	t.Helper()
	found, err := filepath.Glob("/usr/sbin/php-fpm*")
	if err != nil || len(found) == 0 {
		missing(t, "php-fpm")
	}
	dir := socketDir(t)
	socket, config := filepath.Join(dir, "fpm.sock"), filepath.Join(dir, "fpm.conf")
	args, user := []string{"--nodaemonize", "--fpm-config", config}, ""
	if os.Geteuid() == 0 {
		args, user = append(args, "--allow-to-run-as-root"), "user = root\ngroup = root\n"
	}
	write(t, config, fmt.Sprintf("[global]\nerror_log = %s/log\n[www]\nlisten = %s\npm = static\npm.max_children = %d\n%s%s\n", dir, socket, workers, user, strings.Join(pool, "\n")))
	cmd := exec.Command(found[len(found)-1], args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it may have ended
		_ = cmd.Wait()                                      // with that signal
	})
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
			return "unix/" + socket
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The line of the README serves a PHP site: scripts, directories, files, and pages that
// the front controller makes.
func TestPHPSite(t *testing.T) {
	root := t.TempDir()
	script := `<?php echo $_SERVER['SCRIPT_NAME'], ' ', $_SERVER['PATH_INFO'] ?? '-', ' ', $_SERVER['REQUEST_URI'], ' ', file_get_contents('php://input');`
	for _, name := range []string{"index.php", "tool.php", "admin/index.php"} {
		write(t, filepath.Join(root, name), script)
	}
	write(t, filepath.Join(root, "style.css"), "a{}")
	write(t, filepath.Join(root, "docs/index.html"), "<p>docs")
	write(t, filepath.Join(root, ".env"), "secret")
	write(t, filepath.Join(root, "empty/x.txt"), "x")
	for _, name := range []string{"tool.php.bak", "tool.php~", "tool.php.swp", "tool.php.orig", "config.inc", ".git/hook.php", "old.bak"} {
		write(t, filepath.Join(root, name), "<?php echo 'run'; // secret")
	}
	s := start(t, fmt.Sprintf("root * %s\nsluice %s {\npreset php\n}\nfile_server", root, startFPM(t, 4)))
	for _, c := range []struct {
		path   string
		status int
		body   string
	}{
		{"/", 200, "/index.php - / "},
		{"/tool.php?a=b", 200, "/tool.php - /tool.php?a=b "},
		{"/tool.php/with/info", 200, "/tool.php /with/info /tool.php/with/info "},
		{"/admin/", 200, "/admin/index.php - /admin/ "},
		{"/a/pretty/page?x=1", 200, "/index.php - /a/pretty/page?x=1 "},
		{"/missing.php", 200, "/index.php - /missing.php "},
		{"/style.css", 200, "a{}"},
		{"/docs/", 200, "<p>docs"},
		{"/empty/", 200, "/index.php - /empty/ "},
	} {
		s.want(s.get(c.path), c.status, c.body)
	}
	for path, want := range map[string]int{
		"/.env": 404, "/tool.php.bak": 404, "/tool.php~": 404, "/tool.php.swp": 404, "/tool.php.orig": 404, "/config.inc": 403,
		"/.git/hook.php": 404, "/.git/hook.php/x": 404, "/.git/": 404, "/%2egit/hook.php": 404, "/old.bak": 404, "//tool.php.bak": 404, "/x/..%2ftool.php.bak": 404,
	} {
		if re := s.get(path); re.status != want || strings.Contains(re.body, "secret") || strings.Contains(re.body, "run") {
			t.Errorf("%s: %+v", path, re)
		}
	}
	s.want(s.ask("POST", "/tool.php", "body"), 200, "/tool.php - /tool.php body")
}

// Without a fallback, what is not there is not found.
func TestPHPWithoutFallback(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "index.php"), "<?php echo 'index';")
	s := start(t, fmt.Sprintf("sluice %s {\npreset php\nroot %s\nfallback off\n}", startFPM(t, 2), root))
	s.want(s.get("/"), 200, "index")
	if re := s.get("/missing"); re.status != 404 {
		t.Errorf("%+v", re)
	}
}
