//go:build linux

package integration

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// output runs a program, and returns what it prints.
func output(t testing.TB, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	return string(out)
}

var packaging sync.Once

// packaged returns the packages, of version 1.2.3, of the program that the tests run. Tests share them.
func packaged(t testing.TB) (deb, rpm string) {
	t.Helper()
	dir := filepath.Join(filepath.Dir(sluiceBinary()), "packages")
	packaging.Do(func() { makePackages(t, dir, runtime.GOARCH, "VERSION=1.2.3", "BINARY="+sluiceBinary()) })
	return packagesIn(t, dir)
}

// makePackages runs packaging/build.sh with these variables.
func makePackages(t testing.TB, dir, arch string, env ...string) {
	t.Helper()
	output(t, append(env, "SOURCE_DATE_EPOCH=1796000000"), "../packaging/build.sh", dir, arch)
}

func packagesIn(t testing.TB, dir string) (deb, rpm string) {
	t.Helper()
	for pattern, to := range map[string]*string{"*.deb": &deb, "*.rpm": &rpm} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: %v, %v", pattern, found, err)
		}
		*to = found[0]
	}
	return deb, rpm
}

// copyTo puts a program of this machine, with its libraries, where it is in another root.
func copyTo(t testing.TB, root string, programs ...string) {
	t.Helper()
	libraries := regexp.MustCompile(`(/\S+)`)
	for _, program := range programs {
		files := []string{program}
		if out, err := exec.Command("ldd", program).Output(); err == nil { // otherwise it needs none
			for line := range strings.Lines(string(out)) {
				if m := libraries.FindString(line); m != "" {
					files = append(files, m)
				}
			}
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			to := filepath.Join(root, file)
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(to, text, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// emptyRoot is a directory into which dpkg can install.
func emptyRoot(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/log", "var/tmp", "dev", "tmp"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"bin", "sbin", "lib", "lib64"} { // as on this machine, which has merged them
		if err := os.MkdirAll(filepath.Join(root, "usr", dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("usr/"+dir, filepath.Join(root, dir)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(root, "var/lib/dpkg/status"), "")
	write(t, filepath.Join(root, "etc/passwd"), "root:x:0:0::/:/bin/sh\n")
	return root
}

// filesIn are the files and directories of a root, besides those in without.
func filesIn(t testing.TB, root string, without map[string]bool) map[string]bool {
	t.Helper()
	found := make(map[string]bool)
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if name := strings.TrimPrefix(path, root); !without[name] && !strings.HasPrefix(name, "/var/lib/dpkg") && !strings.HasPrefix(name, "/var/lib/rpm") {
			found[name] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// checkLeft says which of the files that a removed package is to leave are gone, and which others are there.
func checkLeft(t testing.TB, made map[string]bool, want ...string) {
	t.Helper()
	for _, name := range want {
		if !made[name] {
			t.Errorf("%s is removed", name)
		}
		delete(made, name)
	}
	for _, name := range []string{"/etc/passwd-", "/etc/group-", "/etc/shadow", "/etc/gshadow", "/etc/.pwd.lock", "/etc/shadow-", "/etc/gshadow-", "/etc/subuid", "/etc/subgid"} {
		delete(made, name) // of systemd-sysusers
	}
	if len(made) > 0 {
		t.Errorf("after its removal there is %v", made)
	}
}

// The package is installed below a directory, works there, and is removed from it.
func TestPackage(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("dpkg installs packages as root")
	}
	dpkg := need(t, "dpkg")
	deb, _ := packaged(t)

	control := output(t, nil, "dpkg-deb", "--field", deb, "Package", "Version", "Architecture", "Section")
	if want := fmt.Sprintf("Package: sluice\nVersion: 1.2.3\nArchitecture: %s\nSection: web\n", runtime.GOARCH); control != want {
		t.Errorf("the package is\n%s, want\n%s", control, want)
	}
	contents := output(t, nil, "dpkg-deb", "--contents", deb)
	for path, mode := range map[string]string{
		"./usr/bin/sluice": "-rwxr-xr-x", "./etc/sluice/": "drwxr-x---", "./etc/sluice/sluice.toml": "-rw-r-----",
		"./usr/lib/systemd/system/sluice.service": "-rw-r--r--", "./usr/lib/sysusers.d/sluice.conf": "-rw-r--r--", "./usr/lib/tmpfiles.d/sluice.conf": "-rw-r--r--",
		"./usr/share/doc/sluice/examples/sluice.socket": "-rw-r--r--", "./usr/share/doc/sluice/copyright": "-rw-r--r--",
		"./usr/share/man/man1/sluice-serve.1.gz": "-rw-r--r--", "./usr/share/man/man5/sluice.toml.5.gz": "-rw-r--r--",
		"./usr/share/bash-completion/completions/sluice": "-rw-r--r--", "./usr/share/zsh/site-functions/_sluice": "-rw-r--r--", "./usr/share/fish/vendor_completions.d/sluice.fish": "-rw-r--r--",
	} {
		if !regexp.MustCompile(`(?m)^` + mode + ` root/root +\d+ \S+ \S+ ` + regexp.QuoteMeta(path) + `$`).MatchString(contents) {
			t.Errorf("%s is not there, or not %s:\n%s", path, mode, contents)
		}
	}

	root := emptyRoot(t)
	write(t, filepath.Join(root, "dev/null"), "") // nothing is mounted there
	write(t, filepath.Join(root, "etc/group"), "root:x:0:\nsluice:x:321:\n")
	copyTo(t, root, need(t, "sh"), need(t, "chgrp"), need(t, "rm"), need(t, "rmdir"), need(t, "getent"), sluiceBinary())
	if err := os.Remove(filepath.Join(root, sluiceBinary())); err != nil { // its libraries are wanted, if any
		t.Fatal(err)
	}
	before := filesIn(t, root, nil)
	manage := func(args ...string) string {
		t.Helper()
		return output(t, []string{"DEBIAN_FRONTEND=noninteractive"}, dpkg, append([]string{"--root=" + root, "--force-not-root", "--log=/dev/null"}, args...)...)
	}
	if text := manage("--install", deb); !strings.Contains(text, "systemctl enable --now sluice") {
		t.Errorf("whoever installs it is told\n%s", text)
	}
	in := func(args ...string) string {
		return output(t, []string{"TMPDIR=/tmp"}, "chroot", append([]string{root}, args...)...)
	}
	if text := in("/usr/bin/sluice", "version"); !strings.HasPrefix(text, "sluice ") || !strings.Contains(text, runtime.Version()) {
		t.Errorf("the version is %q", text)
	}
	if text := in("/usr/bin/sluice", "config", "check"); !strings.Contains(text, "/etc/sluice/sluice.toml: in order") {
		t.Errorf("the file in the package: %s", text)
	}
	file, err := os.ReadFile(filepath.Join(root, "etc/sluice/sluice.toml"))
	if err != nil || string(file) != in("/usr/bin/sluice", "config", "example") {
		t.Errorf("the file in the package is not the example (%v):\n%s", err, file)
	}
	output(t, nil, need(t, "systemd-sysusers"), "--root="+root, "sluice.conf")
	users, err := os.ReadFile(filepath.Join(root, "etc/passwd"))
	if err != nil || !regexp.MustCompile(`(?m)^sluice:.*:/var/lib/sluice:/usr/sbin/nologin$`).Match(users) {
		t.Errorf("systemd-sysusers has made (%v)\n%s", err, users)
	}
	output(t, nil, need(t, "systemd-tmpfiles"), "--root="+root, "--create", "sluice.conf")
	write(t, filepath.Join(root, "var/log/sluice/access.log"), "a line\n")

	// What the package or its users have written stays until it is purged.
	manage("--remove", "sluice")
	made := filesIn(t, root, before)
	checkLeft(t, made, "/etc/sluice", "/etc/sluice/sluice.toml", "/var/log/sluice", "/var/log/sluice/access.log")
	manage("--purge", "sluice")
	for name := range filesIn(t, root, before) {
		if strings.Contains(name, "sluice") {
			t.Errorf("after its purge there is %s", name)
		}
	}
}

// The units are in order for systemd, and nothing of their hardening has been lost.
func TestUnits(t *testing.T) {
	analyze := need(t, "systemd-analyze")
	dir := t.TempDir()
	for _, name := range []string{"sluice.service", "sluice.socket"} {
		text, err := os.ReadFile(filepath.Join("../packaging", name))
		if err != nil {
			t.Fatal(err)
		}
		// It looks for the program.
		write(t, filepath.Join(dir, name), "%s", strings.ReplaceAll(string(text), "/usr/bin/sluice", sluiceBinary()))
	}
	units := []string{filepath.Join(dir, "sluice.service"), filepath.Join(dir, "sluice.socket")}
	// It follows dependencies, and says what is wrong with other units of this machine, too.
	for line := range strings.Lines(output(t, nil, analyze, append([]string{"verify", "--man=no"}, units...)...)) {
		if strings.Contains(line, "sluice") {
			t.Error(line)
		}
	}
	// 0 is none, 10 is all of the machine. A unit without hardening has 9.6.
	text := output(t, nil, analyze, "security", "--offline=true", "--no-pager", "--threshold=30", units[0])
	t.Log(text[strings.LastIndex(text, "→"):])
}
