package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// serviceUser is that of the packages' service.
const serviceUser = "sluice"

// readerOf returns the user as whom a file is to be checked: the one that was asked for; else, for root,
// that of the service if the file is for its user or group. Nil is the user that this process has.
func readerOf(asked, path string) (*user.User, error) {
	if asked == "" && os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup(cmp.Or(asked, serviceUser))
	switch {
	case asked == "" && (err != nil || !isFor(u, path)):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("--user: there is no user %q on this machine", asked)
	case os.Geteuid() != 0 && u.Uid != strconv.Itoa(os.Geteuid()):
		return nil, fmt.Errorf("--user: only root can check as another user: sudo sluice config check --user %s", asked)
	}
	return u, nil
}

// isFor reports whether a file belongs to a user or its group.
func isFor(u *user.User, path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && (u.Uid == strconv.Itoa(int(stat.Uid)) || u.Gid == strconv.Itoa(int(stat.Gid)))
}

// checkAs is checkFile as a user, in a process of that user if this one is another's.
func checkAs(ctx context.Context, u *user.User, path string, out, stderr io.Writer) error {
	if u == nil {
		return checkFile(path, "", out)
	}
	if u.Uid == strconv.Itoa(os.Geteuid()) {
		err := checkFile(path, " for the user "+u.Username, out)
		if err != nil {
			fmt.Fprintf(stderr, "%s is checked as the user %s; --user names another one\n", path, u.Username)
		}
		return err
	}
	credential, err := credentialOf(u)
	if err != nil {
		return err
	}
	self, err := thisProgram()
	if err != nil {
		return err
	}
	child := exec.CommandContext(ctx, self, "config", "check", "--user", u.Username, "--", path)
	child.Stdout, child.Stderr = out, stderr
	child.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	err = child.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		return &statusError{exit: exit.ExitCode()} // it has said why
	}
	if err != nil {
		return fmt.Errorf("%s cannot be checked as the user %s: %w (let that user run this program, or check with --user root)", path, u.Username, err)
	}
	return nil
}

// thisProgram is how another user can run this program.
func thisProgram() (string, error) {
	const running = "/proc/self/exe" // there may be no way to the file for the user
	if _, err := os.Stat(running); err == nil {
		return running, nil
	}
	if path, err := os.Executable(); err == nil {
		return path, nil
	}
	return exec.LookPath(os.Args[0]) // a root without /proc
}

// credentialOf is the user with its groups.
func credentialOf(u *user.User) (*syscall.Credential, error) {
	groups, err := u.GroupIds()
	if err != nil {
		return nil, err
	}
	numbers := make([]uint32, 0, 2+len(groups))
	for _, text := range append([]string{u.Uid, u.Gid}, groups...) {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, uint32(n))
	}
	return &syscall.Credential{Uid: numbers[0], Gid: numbers[1], Groups: numbers[2:]}, nil
}
