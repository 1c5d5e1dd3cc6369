// Command vminit is the first process of a machine that is made for some test programs,
// /*.test: it mounts what they need, runs each in a cgroup of its own, as systemd runs a unit
// with Delegate=yes, and turns the machine off. The kernel's command line says whether an
// ordinary user runs them: account=user.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	cgroups = "/sys/fs/cgroup"
	disk    = "/dev/nvme0n1" // read in a test
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "enter" {
		fail(enter(os.Args[2], os.Args[3], os.Args[4], os.Args[5:]))
	}
	err := run()
	if err != nil {
		fmt.Println("vminit:", err)
	}
	fmt.Printf("vminit: done, error %v\n", err)
	unix.Sync()
	fail(unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF))
}

func fail(err error) {
	fmt.Println("vminit:", err)
	os.Exit(1)
}

func run() error {
	for _, m := range []struct{ fs, at string }{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}} {
		if err := mount(m.fs, m.at); err != nil {
			return err
		}
	}
	if err := os.Symlink("/proc/self/fd", "/dev/fd"); err != nil {
		return err
	}
	text, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	if err := mount("cgroup2", cgroups); err != nil {
		return err
	}
	if err := os.WriteFile(cgroups+"/cgroup.subtree_control", []byte("+memory"), 0); err != nil {
		return err
	}
	if err := os.Chmod(disk, 0o444); err != nil {
		return err
	}
	uid := 0
	if strings.Contains(string(text), "account=user") {
		uid = 1000
	}
	programs, err := filepath.Glob("/*.test")
	for _, program := range programs {
		err = errors.Join(err, runProgram(program, uid))
	}
	return err
}

// runProgram runs a test program in a cgroup that is delegated to a user.
func runProgram(program string, uid int) error {
	unit := filepath.Join(cgroups, filepath.Base(program))
	if err := os.Mkdir(unit, 0o755); err != nil {
		return err
	}
	if err := unix.Setxattr(unit, "user.delegate", []byte("1"), 0); err != nil { // as systemd marks it
		return err
	}
	for _, f := range []string{"", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"} {
		if err := os.Chown(filepath.Join(unit, f), uid, uid); err != nil {
			return err
		}
	}
	cmd := exec.Command("/init", "enter", unit, strconv.Itoa(uid), program, "-test.v", "-test.run=Cgroup", "-test.timeout=2m")
	cmd.Env = []string{"PATH=/", "TMPDIR=/tmp", "SLUICE_TEST_CGROUP=1", "SLUICE_TEST_DISK=" + disk}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	return cmd.Run()
}

func mount(fs, at string) error {
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(fs, at, fs, 0, ""); err != nil {
		return fmt.Errorf("mount %s: %w", at, err)
	}
	return nil
}

// enter executes a program, in a cgroup, as a user.
func enter(dir, user, program string, args []string) error {
	if err := os.WriteFile(dir+"/cgroup.procs", fmt.Append(nil, os.Getpid()), 0); err != nil {
		return err
	}
	uid, err := strconv.Atoi(user)
	if err == nil {
		err = errors.Join(unix.Setgroups(nil), unix.Setgid(uid), unix.Setuid(uid))
	}
	if err != nil {
		return err
	}
	return unix.Exec(program, append([]string{program}, args...), os.Environ())
}
