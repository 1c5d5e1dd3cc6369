//go:build linux

package caddy

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// spawnPHP is a site whose PHP is started by it, and tells its process group and umask.
func spawnPHP(t *testing.T) (directives string) {
	t.Helper()
	php, err := exec.LookPath("php-cgi")
	if err != nil {
		t.Skip("\n*** NOT TESTED: php-cgi is not installed; integration/setup.sh installs it on Debian ***")
	}
	root := t.TempDir()
	write(t, filepath.Join(root, "index.php"), `<?php printf("%s %o %s", posix_getpgid(getmypid()), umask(), getenv('SITE'));`)
	return fmt.Sprintf("sluice {\npreset php\nroot %s\nworkers 4\nspawn %s {\numask 027\nenv SITE spawned\n}\n}", root, php)
}

// A spawned application has what was set up for it, lives on over reloads that do not
// change it, and is restarted without losing a request.
func TestSpawn(t *testing.T) {
	directives := spawnPHP(t)
	s := startUnix(t, directives)
	first := s.get("/")
	group, rest, _ := strings.Cut(first.body, " ")
	if first.status != 200 || rest != "27 spawned" {
		t.Fatalf("%+v", first)
	}
	for i := range 5 {
		s.load(fmt.Sprintf("header X-New %d\n%s", i, directives))
		if re := s.get("/"); re.body != first.body {
			t.Errorf("%q after a reload, before it %q", re.body, first.body)
		}
	}
	restarted := make(chan string)
	go func() {
		_, body := s.manage("POST", "/sluice/restart")
		restarted <- body
	}()
	for over := false; !over; {
		select {
		case body := <-restarted:
			if over = true; body != `{"restarted":1}` {
				t.Error(body)
			}
		default:
			if re := s.get("/"); re.status != 200 {
				t.Errorf("%d %s during the restart", re.status, re.body)
			}
		}
	}
	if re := s.get("/"); re.status != 200 || strings.HasPrefix(re.body, group+" ") || !strings.HasSuffix(re.body, " 27 spawned") {
		t.Errorf("%q after the restart, before it %q", re.body, first.body)
	}
	s.untouched()
	if status, body := s.manage("POST", "/sluice/drain?backend=x"); status != 404 {
		t.Errorf("%d %s", status, body)
	}
}

// What cannot be started is an error of the configuration.
func TestSpawnFails(t *testing.T) {
	s := start(t, "respond up")
	err := s.tryLoad("sluice {\nspawn /nowhere/app\n}")
	if err == nil || !strings.Contains(err.Error(), `command "/nowhere/app"`) {
		t.Errorf("%v", err)
	}
	s.want(s.get("/"), 200, "up")
}
