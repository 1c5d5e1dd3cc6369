//go:build linux && (amd64 || arm64)

package integration

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// servicePrograms are what dpkg, the package's scripts and testdata/service.sh run.
var servicePrograms = []string{
	"sh", "dpkg", "dpkg-deb", "dpkg-split", "dpkg-query", "tar", "diff", "rm", "rmdir", "chgrp", "mkdir", "cat", "cp", "grep", "sleep", "getent", "env",
	"systemctl", "systemd-sysusers", "systemd-tmpfiles", "/sbin/ldconfig", "/sbin/start-stop-daemon", "/lib/systemd/systemd",
}

// TestService installs the package on an emulated machine with systemd, and starts, reloads, restarts
// and removes the service there: testdata/service.sh. The service's limits are in force for Sluice and
// for an application that it starts.
func TestService(t *testing.T) {
	qemu, kernel := need(t, emulator.program), need(t, testKernel)
	deb, _ := packaged(t)
	root := emptyRoot(t)
	for _, program := range append(servicePrograms, sluiceBinary()) {
		copyTo(t, root, need(t, program))
	}
	units := filepath.Join(root, "usr/lib/systemd/system")
	for _, unit := range []string{"basic.target", "sysinit.target", "sockets.target", "multi-user.target", "shutdown.target", "network-online.target"} {
		text, err := os.ReadFile(filepath.Join("/lib/systemd/system", unit))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(units, unit), "%s", text)
	}
	write(t, filepath.Join(units, "test.service"), "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart=/bin/sh /test.sh\nStandardOutput=tty\nStandardError=tty\nTTYPath=/dev/%s\n", emulator.console)
	write(t, filepath.Join(units, "default.target"), "[Unit]\nRequires=test.service\nAfter=test.service\n")
	write(t, filepath.Join(root, "etc/group"), "root:x:0:\n")
	write(t, filepath.Join(root, "etc/machine-id"), "%032d\n", 1)
	write(t, filepath.Join(root, "etc/os-release"), "ID=test\n")
	for from, to := range map[string]string{deb: "sluice.deb", "testdata/service.sh": "test.sh"} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(root, to), "%s", text)
	}
	if err := os.Symlink("lib/systemd/systemd", filepath.Join(root, "init")); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"proc", "sys", "run", "home", "root"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var disk cpio
	if err := disk.addTree(root); err != nil {
		t.Fatal(err)
	}
	initrd := filepath.Join(t.TempDir(), "initrd")
	if err := os.WriteFile(initrd, disk.end(), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "nice", append([]string{ // others have first call on the processors
		"-n", "10", qemu, "-accel", "tcg", "-m", "1024", "-smp", "2", "-nodefaults", "-nographic", "-serial", "stdio", "-no-reboot",
		"-kernel", kernel, "-initrd", initrd, "-append", "console=" + emulator.console + " quiet panic=-1 systemd.show_status=0",
	}, emulator.machine...)...).CombinedOutput()
	if err != nil || strings.Contains(string(out), "WRONG") || !strings.Contains(string(out), "test.sh: all is done") {
		t.Errorf("%v\n%s", err, out)
	}
}
