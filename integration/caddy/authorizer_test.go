//go:build linux

package caddy

import (
	"fmt"
	"net"
	"net/http"
	"net/http/fcgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// startOnSocket runs cmd with a listening socket as file descriptor 0 until the test ends, and
// returns the socket's address.
func startOnSocket(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	path := filepath.Join(socketDir(t), "app.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.SetUnlinkOnClose(false)
	if cmd.Stdin, err = l.File(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Stdin.(*os.File).Close()
	runUntilEnd(t, cmd)
	return "unix/" + path
}

// runUntilEnd runs cmd until the test ends.
func runUntilEnd(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it may have ended
		_ = cmd.Wait()                                      // with that signal
		if t.Failed() {
			t.Logf("output of %s:\n%s", filepath.Base(cmd.Path), output.String())
		}
	})
}

// startAuthorizer starts the authorizer in C of the package above.
func startAuthorizer(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat("/usr/include/fcgiapp.h"); err != nil {
		missing(t, "libfcgi-dev")
	}
	program := filepath.Join(t.TempDir(), "authorizer")
	if out, err := exec.Command("gcc", "-o", program, "../testdata/authorizer.c", "-lfcgi", "-lpthread").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "WORKERS=2", "HOLD=/dev/null")
	return startOnSocket(t, cmd)
}

// who answers with who asks.
func who(w http.ResponseWriter, r *http.Request) {
	env := fcgi.ProcessEnv(r)
	fmt.Fprintf(w, "%s %s %s", r.URL.Path, env["REMOTE_USER"], env["Shib-Session-ID"])
}

// The authorizer is asked about pages and about the static files that are the next handler's, its
// answer is not an error for handle_errors, and it outlives a reload.
func TestAuthorizer(t *testing.T) {
	authorizer, app := startAuthorizer(t), startApp(t, who)
	root := t.TempDir()
	for name, text := range map[string]string{"style.css": "body{}", "public/x.css": "x{}"} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, file, text)
	}
	site := fmt.Sprintf(`
		root %s
		sluice %s {
			root %s
			static usual
			authorizer %s {
				workers 2
				except /public
			}
		}
		file_server
		handle_errors {
			respond "page for {err.status_code}"
		}`, root, app.addr, root, authorizer)
	s := start(t, site)
	check := func() {
		t.Helper()
		for path, want := range map[string]string{"/page": "/page jane _1", "/style.css": "body{}"} {
			if re := s.ask("GET", path, ""); re.status != 302 || re.header.Get("Location") != "/login?to="+path || re.body != "<p>log in\n" || len(re.header["Set-Cookie"]) != 2 {
				t.Errorf("%s without a user: %+v", path, re)
			}
			s.want(s.ask("GET", path, "", "Cookie", "user=jane"), 200, want)
		}
		s.want(s.get("/public/x.css"), 200, "x{}")
	}
	s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	check()
	s.load(site)
	check()
	s.load(fmt.Sprintf("sluice %s", app.addr))
	s.want(s.get("/page"), 200, "/page  ")
	s.load(site) // the application has an authorizer again: that is another application
	check()
	if re := s.ask("GET", "/?die", "", "Cookie", "user=jane"); re.status != 502 || re.body != "page for 502" {
		t.Errorf("%+v", re)
	}
}

// The authorizer is asked about a script that is protected by whatever path it is reached.
func TestAuthorizerOfScript(t *testing.T) {
	authorizer, app := startAuthorizer(t), startApp(t, who)
	root := t.TempDir()
	for _, name := range []string{"index.php", "open.php"} {
		write(t, filepath.Join(root, name), "<?php")
	}
	s := start(t, fmt.Sprintf(`
		sluice %s {
			preset php
			root %s
			authorizer %s {
				workers 2
				paths /index.php
			}
		}`, app.addr, root, authorizer))
	s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, path := range []string{"/index.php", "/", "/page/of/it"} {
		if re := s.ask("GET", path, ""); re.status != 302 || re.header.Get("Location") != "/login?to="+path {
			t.Errorf("%s without a user: %+v", path, re)
		}
		if re := s.ask("GET", path, "", "Cookie", "user=jane"); re.status != 200 {
			t.Errorf("%s as jane: %+v", path, re)
		}
	}
	if re := s.get("/open.php"); re.status != 200 {
		t.Errorf("/open.php: %+v", re)
	}
}
