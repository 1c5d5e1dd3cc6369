//go:build linux

package caddy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// A configuration that fails when it is started, whatever of it was before, has no process
// replaced by another and that by what there was.
func TestSpawnReloadFails(t *testing.T) {
	// Another application than that of tests before, which lingers.
	directives := strings.Replace(spawnPHP(t), "env SITE spawned", "env SITE fails", 1)
	s := start(t, directives)
	first := s.get("/")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	other := strings.Replace(directives, "workers 4", "workers 3", 1) // children of PHP
	for range 10 {                                                    // the order in which apps are started is a matter of chance
		err := s.tryText(s.global() + s.url + " {\n" + other + "\n}\nhttp://" + taken.Addr().String() + " {\nrespond no\n}\n")
		if err == nil || !strings.Contains(err.Error(), "address already in use") {
			t.Fatalf("%v", err)
		}
		s.want(s.get("/"), 200, first.body)
	}
	if lines := s.logged("a process is replaced"); len(lines) > 0 {
		t.Errorf("%d processes were replaced: %s", len(lines), lines[0])
	}
	s.load(other)
	s.untilReplaced(first)
	if lines := s.logged("a process is replaced"); len(lines) != 1 || len(s.state()) != 1 || s.state()[0].Snapshot.Gate.Workers != 3 {
		t.Errorf("%d processes were replaced; %+v", len(lines), s.state())
	}
}

// untilReplaced waits until another process answers than the one that has.
func (s *site) untilReplaced(first reply) {
	s.t.Helper()
	for begun := time.Now(); s.get("/").body == first.body; time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > patience {
			s.t.Fatal("no other process answers")
		}
	}
}

// A process that ends without an error is followed by the next, and nobody is alarmed.
func TestSpawnEndsWithoutAnError(t *testing.T) {
	directives := strings.Replace(spawnPHP(t), "env SITE spawned", "env SITE ends\nenv PHP_FCGI_CHILDREN 0\nenv PHP_FCGI_MAX_REQUESTS 2", 1)
	s := start(t, strings.Replace(directives, "workers 4", "workers 1", 1))
	processes := make(map[string]bool)
	for range 12 {
		re := s.get("/")
		if re.status != 200 || !strings.HasSuffix(re.body, " 27 ends") {
			t.Fatalf("%+v", re)
		}
		processes[re.body] = true
	}
	if len(processes) < 6 {
		t.Errorf("processes were %v", processes)
	}
	if lines := s.logged(`"logger":"http.handlers.sluice"`, `"level":"error"`); len(lines) > 0 {
		t.Errorf("the log says %s", lines[0])
	}
	if lines := s.logged(`"level":"info"`, "has ended by itself, without an error", `"answered":2`); len(lines) != 1 {
		t.Errorf("it is told of %d times", len(lines))
	}
	if lines := s.logged(`"name":"sluice_spawn_budget_exhausted"`); len(lines) > 0 {
		t.Errorf("an event: %s", lines[0])
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
