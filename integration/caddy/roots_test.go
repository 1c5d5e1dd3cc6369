//go:build linux

package caddy

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// eventually asks until the answer is nil: for what no event announces.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// onceThrough asks for a path until the answer is body.
func (s *site) onceThrough(path, body string) {
	s.t.Helper()
	eventually(s.t, func() error {
		if re := s.get(path); re.status != 200 || re.body != body {
			return fmt.Errorf("%s: %d %q, want %q", path, re.status, re.body, body)
		}
		return nil
	})
}

// The slash that a directory lacks is added with the prefix that handle_path has cut off.
func TestDirectoryBelowHandlePath(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "sub/index.php"), "<?php echo $_SERVER['REQUEST_URI'];")
	fpm := startFPM(t, 2)
	for name, directive := range roads {
		t.Run(name, func(t *testing.T) {
			s := start(t, "handle_path /app/* {\n"+fmt.Sprintf(directive, fpm, "preset php\nroot "+root)+"\n}")
			s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			if re := s.get("/app/sub?a=b"); re.status != 301 || re.header.Get("Location") != "/app/sub/?a=b" {
				t.Errorf("%d, Location %q", re.status, re.header.Get("Location"))
			}
			s.want(s.get("/app/sub/?a=b"), 200, "/app/sub/?a=b")
		})
	}
}

// A root that is not there is a warning. Other sites are served, and that one is when its
// root comes.
func TestRootComesLater(t *testing.T) {
	root := filepath.Join(t.TempDir(), "later")
	a, fpm := startApp(t, echo), startFPM(t, 2)
	for name, directive := range roads {
		t.Run(name, func(t *testing.T) {
			if err := os.RemoveAll(root); err != nil {
				t.Fatal(err)
			}
			s := start(t, "handle /app* {\nsluice "+a.addr+"\n}\nhandle {\n"+fmt.Sprintf(directive, fpm, "preset php\nroot "+root)+"\n}")
			s.want(s.get("/app"), 200, "GET /app ")
			if re := s.get("/index.php"); re.status != 404 {
				t.Errorf("%+v", re)
			}
			if len(s.logged("a directory cannot be opened", root)) == 0 {
				t.Error("the log does not say so")
			}
			write(t, filepath.Join(root, "index.php"), "<?php echo 'here';")
			s.onceThrough("/index.php", "here")
		})
	}
}

// A release is switched without a reload, and file_server and PHP serve the same one.
func TestReleaseIsSwitched(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []string{"1", "2"} {
		write(t, filepath.Join(dir, n, "index.php"), "<?php echo '"+n+" ', $_SERVER['DOCUMENT_ROOT'];")
		write(t, filepath.Join(dir, n, "style.css"), n)
	}
	current := filepath.Join(dir, "current")
	deploy := func(n string) {
		t.Helper()
		_ = os.Remove(current) // it may not be there yet
		if err := os.Symlink(n, current); err != nil {
			t.Fatal(err)
		}
	}
	deploy("1")
	s := start(t, fmt.Sprintf("root * %s\nsluice %s {\npreset php\n}\nfile_server", current, startFPM(t, 2)))
	for _, n := range []string{"1", "2", "1"} {
		deploy(n)
		s.onceThrough("/", n+" "+filepath.Join(dir, n))
		s.want(s.get("/style.css"), 200, n)
	}
	s.load(strings.Replace(s.directives, "preset php", "preset php\nresolve_root_symlink off", 1))
	if re := s.get("/"); !strings.HasSuffix(re.body, " "+current) {
		t.Errorf("%+v", re)
	}
}

// Many sites have one directive: each has the root that its name says, and no name leads
// elsewhere.
func TestRootOfEachSite(t *testing.T) {
	dir := t.TempDir()
	for _, host := range []string{"a.example", "b.example"} {
		write(t, filepath.Join(dir, "sites", host, "index.php"), "<?php echo '"+host+" ', $_SERVER['DOCUMENT_ROOT'], ' ', $_SERVER['SCRIPT_NAME'];")
		write(t, filepath.Join(dir, "sites", host, "style.css"), host)
	}
	write(t, filepath.Join(dir, "index.php"), "<?php echo 'outside';")
	write(t, filepath.Join(dir, "sites/index.php"), "<?php echo 'outside';")
	write(t, filepath.Join(dir, "sites/.git/index.php"), "<?php echo 'outside';")
	fpm := startFPM(t, 2)
	s := start(t, "respond up")
	ask := func(host, path string) (re reply) {
		t.Helper()
		for range 5 { // as in site.ask: the first after a reload may meet a connection that is closed
			r, err := http.NewRequest("GET", s.url+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = host
			if re = s.do(r); !errors.Is(re.err, io.EOF) && !errors.Is(re.err, syscall.ECONNRESET) {
				break
			}
		}
		return re
	}
	port := s.url[strings.LastIndex(s.url, ":"):]
	for name, site := range map[string]string{
		"the root of the site": "root * %s/sites/{host}\nsluice %s {\npreset php\n}\nfile_server",
		"its own":              "root * %[1]s/sites/{host}\nsluice %[2]s {\npreset php\nroot %[1]s/sites/{host}\n}\nfile_server",
		"by a matcher":         "@any path *\nroot @any %s/sites/{host}\nsluice %s {\npreset php\nroot {http.vars.root}\n}\nfile_server",
		"the transport":        "root * %[1]s/sites/{host}\n@php path *.php */ /page\nreverse_proxy @php %[2]s {\ntransport sluice {\npreset php\nroot %[1]s/sites/{host}\n}\n}\nfile_server",
	} {
		t.Run(name, func(t *testing.T) {
			s.t = t
			if err := s.tryText(s.global() + "http://" + port + " {\n" + fmt.Sprintf(site, dir, fpm) + "\n}\n"); err != nil {
				t.Fatal(err)
			}
			for _, host := range []string{"a.example", "b.example"} {
				s.want(ask(host, "/index.php"), 200, host+" "+filepath.Join(dir, "sites", host)+" /index.php")
				s.want(ask(host, "/page"), 200, host+" "+filepath.Join(dir, "sites", host)+" /index.php")
				s.want(ask(host, "/style.css"), 200, host)
			}
			for _, host := range []string{"c.example", "..", ".", ".git", "a.example/../..", "a..b"} {
				if re := ask(host, "/index.php"); re.err == nil && (re.status < 400 || strings.Contains(re.body, "outside")) {
					t.Errorf("%s: %d %q", host, re.status, re.body)
				}
			}
		})
	}
	if err := s.tryText(s.global() + "http://" + port + " {\nsluice " + fpm + " {\npreset php\nroot /srv/{no.such}\n}\n}\n"); err == nil || !strings.Contains(err.Error(), "root: unrecognized placeholder {no.such}") {
		t.Errorf("%v", err)
	}
}

// What file_server is given can be limited to what visitors need.
func TestStaticFilesForTheFileServer(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"index.php", "style.css", "config.yml", "a.zip", "files/b.dat"} {
		write(t, filepath.Join(root, name), name)
	}
	fpm := startFPM(t, 2)
	s := start(t, fmt.Sprintf("root * %s\nsluice %s {\npreset php\n}\nfile_server", root, fpm))
	s.want(s.get("/config.yml"), 200, "config.yml") // which is file_server's to refuse
	s.load(fmt.Sprintf("root * %s\nsluice %s {\npreset php\nstatic_types zip\nstatic_dirs /files\n}\nfile_server", root, fpm))
	for _, name := range []string{"style.css", "a.zip", "files/b.dat"} {
		s.want(s.get("/"+name), 200, name)
	}
	if re := s.get("/config.yml"); re.status != 404 {
		t.Errorf("%+v", re)
	}
	s.load(fmt.Sprintf("root * %s\nsluice %s {\nstatic_types css\nroot %s\n}\nfile_server", root, startApp(t, echo).addr, root))
	s.want(s.get("/style.css"), 200, "style.css")
	s.want(s.get("/config.yml"), 200, "GET /config.yml ")
}

// PHP-FPM's ping page is a health check, for an application with another root, too.
func TestPingIsAHealthCheck(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "a.php"), "<?php echo 'page';")
	fpm := startFPM(t, 2, "ping.path = /ping")
	s := start(t, fmt.Sprintf("reverse_proxy %s {\nhealth_uri /ping\nhealth_interval 20ms\nhealth_body ^pong$\ntransport sluice {\npreset php\nroot %s\nvirtual /ping\n}\n}", fpm, root))
	s.want(s.get("/ping"), 200, "pong")
	for range 5 {
		time.Sleep(20 * time.Millisecond) // checks that fail would end it
		s.want(s.get("/a.php"), 200, "page")
	}
	if lines := s.logged("unhealthy"); len(lines) > 0 {
		t.Errorf("the log has %q", lines)
	}
}

// Two sites that want an application to be different things are told apart, or are said to
// be two.
func TestConflictNamesBoth(t *testing.T) {
	a := startApp(t, echo)
	s := start(t, "respond up")
	both := "handle /one* {\nsluice " + a.addr + " {\nworkers 3\n%s\n}\n}\nhandle {\nsluice " + a.addr + " {\nworkers 4\n}\n}"
	for more, want := range map[string]string{
		"":          "workers: is 3 and 4: two handlers of the configuration (http.handlers.sluice) share the application " + a.addr + ", which",
		"mount /on": "workers: is 3 and 4: http.handlers.sluice at /on and http.handlers.sluice share the application " + a.addr + ", which",
	} {
		err := s.tryLoad(fmt.Sprintf(both, more))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
	if err := s.tryLoad("sluice " + a.addr + " {\nworkers 0\n}"); err == nil || !strings.Contains(err.Error(), "workers: is 0, want at least 1") {
		t.Errorf("%v", err)
	}
}
