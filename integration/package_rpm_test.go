//go:build linux

package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// The .rpm is installed below a directory by rpm, with its scripts, upgraded over a file that was changed, and
// erased.
func TestPackageRPM(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("rpm installs packages as root")
	}
	program := need(t, "rpm")
	_, pkg := packaged(t)
	example, err := os.ReadFile("../cmd/sluice/example.toml")
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "sluice.toml")
	write(t, other, "%s# of the next version\n", example)
	later := t.TempDir()
	makePackages(t, later, runtime.GOARCH, "VERSION=1.2.4", "BINARY="+sluiceBinary(), "EXAMPLE="+other)
	_, next := packagesIn(t, later)

	root := emptyRoot(t)
	write(t, filepath.Join(root, "dev/null"), "") // nothing is mounted there
	write(t, filepath.Join(root, "etc/group"), "root:x:0:\n")
	for _, name := range []string{"sh", "chgrp", "rm", "rmdir", "getent", "systemd-sysusers", "systemd-tmpfiles"} {
		copyTo(t, root, need(t, name))
	}
	rpm := func(args ...string) *exec.Cmd {
		return exec.Command(program, append([]string{"--root=" + root}, args...)...)
	}
	run := func(args ...string) string {
		t.Helper()
		out, err := rpm(args...).CombinedOutput()
		if err != nil {
			t.Fatalf("rpm %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	run("--initdb")
	for file := range strings.FieldsSeq(output(t, nil, program, "--query", "--list", "--package", pkg)) {
		if dir := filepath.Dir(file); !strings.Contains(dir, "sluice") { // of other packages
			if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, dir := range []string{"tmp", "var/tmp"} { // whoever checks the configuration may write there
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(root, dir), 0o777|os.ModeSticky); err != nil {
			t.Fatal(err)
		}
	}
	before := filesIn(t, root, nil)

	// The scripts need a shell; the root has one that no package has brought.
	out, err := rpm("--install", pkg).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "/bin/sh is needed by sluice") {
		t.Errorf("without a shell: %v\n%s", err, out)
	}
	if text := run("--install", "--nodeps", pkg); !strings.Contains(text, "systemctl enable --now sluice") || strings.Contains(text, "warning: ") {
		t.Errorf("whoever installs it is told\n%s", text)
	}
	line, err := os.ReadFile("../packaging/sysusers.conf")
	if scripts := run("--query", "--scripts", "sluice"); err != nil || !strings.Contains(scripts, "'"+strings.TrimSpace(string(line))+"'") {
		t.Errorf("before-install.sh makes other users than sysusers.conf (%v)\n%s", err, scripts)
	}
	owned := func() string {
		return output(t, nil, "stat", "--format=%A %u %g", filepath.Join(root, "etc/sluice"), filepath.Join(root, "etc/sluice/sluice.toml"))
	}
	group, err := os.ReadFile(filepath.Join(root, "etc/group"))
	id := regexp.MustCompile(`(?m)^sluice:x:(\d+):$`).FindSubmatch(group)
	if err != nil || id == nil {
		t.Fatalf("the groups are (%v)\n%s", err, group)
	}
	want := "drwxr-x--- 0 " + string(id[1]) + "\n-rw-r----- 0 " + string(id[1]) + "\n"
	if got := owned(); got != want {
		t.Errorf("the configuration is\n%s, want\n%s", got, want)
	}
	if text := run("--verify", "--nodeps", "sluice"); text != "" {
		t.Errorf("what is installed differs from what is in the package:\n%s", text)
	}
	if text := output(t, []string{"TMPDIR=/tmp"}, "chroot", root, "/usr/bin/sluice", "config", "check"); !strings.Contains(text, "in order") {
		t.Errorf("the file in the package: %s", text)
	}
	write(t, filepath.Join(root, "etc/sluice/sluice.toml"), "%s# changed here\n", example)
	// In a root without /proc it makes no directories by itself.
	output(t, nil, need(t, "systemd-tmpfiles"), "--root="+root, "--create", "sluice.conf")
	write(t, filepath.Join(root, "var/log/sluice/access.log"), "a line\n")

	run("--upgrade", "--nodeps", next)
	file, err := os.ReadFile(filepath.Join(root, "etc/sluice/sluice.toml"))
	if err != nil || !strings.Contains(string(file), "changed here") {
		t.Errorf("after the upgrade the file is (%v)\n%s", err, file)
	}
	if _, err := os.Stat(filepath.Join(root, "etc/sluice/sluice.toml.rpmnew")); err != nil {
		t.Error("the file of the next version:", err)
	}
	if got := owned(); got != want {
		t.Errorf("after the upgrade, the service cannot read its file:\n%s, want\n%s", got, want)
	}
	if text := run("--query", "sluice"); !strings.HasPrefix(text, "sluice-1.2.4-1.") {
		t.Errorf("installed is %s", text)
	}

	run("--erase", "sluice")
	checkLeft(t, filesIn(t, root, before), "/etc/sluice", "/etc/sluice/sluice.toml.rpmsave", "/etc/sluice/sluice.toml.rpmnew", "/var/log/sluice", "/var/log/sluice/access.log")
}
