//go:build linux

package caddy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// spawnPHP is a site whose PHP is started by it, and tells its process group and umask.
func spawnPHP(t *testing.T) (directives string) {
	t.Helper()
	php, err := exec.LookPath("php-cgi")
	if err != nil {
		missing(t, "php-cgi")
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

// Settings of a spawned application are changed while its processes run, and work.
func TestSpawnReload(t *testing.T) {
	directives := spawnPHP(t)
	s := startUnix(t, directives)
	first := s.get("/")
	page := func(int64) (path, body string) { return "/", first.body }
	_, failed := s.underLoadOf(page, 4, 10_000, 50, func(i int) {
		changed := strings.Replace(directives, "umask 027", fmt.Sprintf("umask 027\nmax_requests %d\ndrain_timeout %ds", 10_000+i, 10+i), 1)
		s.load(strings.Replace(changed, "workers 4", fmt.Sprintf("workers 4\nqueue {\nsize %d\n}", 50+i), 1))
	})
	if len(failed) > 0 {
		t.Errorf("%d failed, or were answered by another process: %v, want %q", len(failed), reasons(failed), first.body)
	}
	if list := s.state(); len(list) != 1 {
		t.Errorf("%d applications", len(list))
	}
	s.untouched()
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

// A configuration that is only checked, or that fails elsewhere, starts nothing.
func TestCheckStartsNothing(t *testing.T) {
	s := start(t, "respond up")
	trace := filepath.Join(t.TempDir(), "started")
	directives := fmt.Sprintf("sluice {\nspawn sh -c \"echo >%s; sleep 60\"\n}", trace)
	raw, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(s.url+" {\n"+directives+"\n}\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	var cfg caddy.Config
	if err := json.Unmarshal(raw, &cfg); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&cfg); err != nil {
		t.Fatal(err)
	}
	if err := s.tryLoad(directives + "\nphp_fastcgi {env.NO_SUCH_VARIABLE}\nsluice /x {env.NO_SUCH_VARIABLE}"); err == nil {
		t.Error("the second was no error")
	}
	if _, err := os.Stat(trace); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the command was started: %v", err)
	}
	s.want(s.get("/"), 200, "up")
}
