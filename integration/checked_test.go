//go:build linux

package integration

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// serviceID is the number of the user and the group of the service, in the test's files.
const serviceID = 54321

// onPackagedMachine is a command on a machine that has the user of the packages' service.
func onPackagedMachine(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	var script strings.Builder
	script.WriteString("set -e; ")
	for name, line := range map[string]string{
		"passwd": fmt.Sprintf("sluice:x:%d:%d::/:/usr/sbin/nologin\n", serviceID, serviceID),
		"group":  fmt.Sprintf("sluice:x:%d:\n", serviceID),
	} {
		text, err := os.ReadFile("/etc/" + name)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), name)
		write(t, file, "%s%s", regexp.MustCompile(`(?m)^sluice:.*\n`).ReplaceAll(text, nil), line)
		script.WriteString("mount --bind " + file + " /etc/" + name + "; ")
	}
	return exec.Command(need(t, "unshare"), append([]string{"--mount", "--propagation", "private", "sh", "-c", script.String() + `exec "$@"`, "sh"}, args...)...)
}

// Root checks a file as the user that will read it, who may not read all that root may.
func TestCheckedAsItsUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		missing(t, "the privilege to check as another user (root)")
	}
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	file, key, socket, logs := filepath.Join(dir, "sluice.toml"), filepath.Join(dir, "site.pem"), filepath.Join(socketDir(t), "app.sock"), filepath.Join(dir, "log")
	newAuthority(t).issue(t, key, 2, "wiki.test")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Mkdir(logs, 0o700); err != nil {
		t.Fatal(err)
	}
	give := func(path string, group int, mode os.FileMode) {
		t.Helper()
		if err := os.Chown(path, 0, group); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	text := "[server]\nlisten = [\"https://127.0.0.1:0\"]\naccess_log = \"" + logs + "/access.log\"\n" +
		"[[application]]\nbackends = [\"unix:" + socket + "\"]\n[[site]]\nhosts = [\"wiki.test\"]\ntls.certificate = [\"" + key + "\"]\n"
	write(t, file, "%s", text)
	check := func(status int, wants string, args ...string) {
		t.Helper()
		out, err := onPackagedMachine(t, append([]string{sluiceBinary(), "config", "check"}, args...)...).CombinedOutput()
		got := 0
		if exit, ok := err.(*exec.ExitError); ok {
			got = exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		if got != status || !strings.Contains(string(out), wants) {
			t.Errorf("%q: exit status %d, want %d; want %q in\n%s", args, got, status, wants, out)
		}
	}

	give(key, 0, 0o600)
	give(file, 0, 0o600)
	check(0, file+": in order (1 application, 1 site)\n", file)
	check(1, file+": permission denied (let the user that Sluice runs as read it)", "--user", "sluice", file)
	give(file, serviceID, 0o640)
	check(0, file+": in order for the user root (1 application, 1 site)\n", "--user", "root", file)
	check(1, "access_log: "+logs+"/access.log: permission denied", file)
	give(logs, serviceID, 0o770)
	check(1, file+" is checked as the user sluice", file)
	check(1, file+":8:5: tls.certificate \""+key+"\": permission denied (let the user that Sluice runs as read it)", file)
	give(key, serviceID, 0o640)
	check(0, file+":5:1: backends: unix:"+socket+": permission denied", file)
	give(filepath.Dir(socket), serviceID, 0o750)
	give(socket, serviceID, 0o660)
	check(0, file+": in order for the user sluice (1 application, 1 site)\n", file)
	if _, err := os.Stat(logs + "/access.log"); err == nil {
		t.Error("the check has made the access log")
	}

	if err := os.Remove(logs); err != nil {
		t.Fatal(err)
	}
	check(0, file+": in order for the user sluice", file) // systemd makes the directory

	check(2, `--user: there is no user "nobody-of-that-name"`, "--user", "nobody-of-that-name", file)
	reachable := filepath.Join(dir, "sluice")
	if err := os.Link(sluiceBinary(), reachable); err != nil {
		t.Fatal(err)
	}
	other := exec.Command(reachable, "config", "check", "--user", "root", file)
	other.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: serviceID, Gid: serviceID}}
	if out, err := other.CombinedOutput(); err == nil || !strings.Contains(string(out), "--user: only root can check as another user") {
		t.Errorf("another user as root: %v, %s", err, out)
	}
}
