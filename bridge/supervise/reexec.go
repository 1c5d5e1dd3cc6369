package supervise

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
)

// Between fork and exec, Go sets the session and the parent's death signal, but no umask,
// nice value or limits. They cannot be set here and inherited, because they are the whole
// process's: an address space for the application is too small for us. Nor from outside, by
// prlimit(2) on a child that ptrace(2) has stopped: root in a container may do neither to
// another user's process. The working directory could be set, but if its file system does
// not answer, Go's fork does not return. So the child runs our own program first, which sets
// them on itself, root as long as it needs to be, and becomes the command. It does so only
// when it was told to, on a pipe, after it was recorded: a child that runs is one that the
// next start knows of.

// childName is argv[0] of our program in the child.
const childName = "sluice-child"

// The child's ends of two pipes.
const (
	orderFD  = 3 // gets the order
	reportFD = 4 // takes why it was not carried out; closed by exec
)

// order is what the child is told.
type order struct {
	Parent  int // process id
	Path    string
	Args    []string
	Dir     string // "": ours
	Umask   *int
	Nice    int
	Limits  Limits
	Account *orderAccount // nil: ours
}

type orderAccount struct {
	UID, GID int
	Groups   []int
}

func (p *plan) order() order {
	o := order{
		Parent: os.Getpid(), Path: p.path, Args: p.Command, Dir: p.Dir,
		Umask: p.Umask, Nice: p.Nice, Limits: p.Limits,
	}
	if a := p.account; a != nil {
		o.Account = &orderAccount{a.uid, a.gid, a.groups}
	}
	return o
}

// Child becomes the command if this process was started by a Process for that; else it
// returns at once. A program that sets Config.Reexec calls it first thing in main.
func Child() {
	if os.Args[0] != childName {
		return
	}
	runtime.LockOSThread() // the parent's death signal is a thread's own
	err := becomeCommand()
	report := os.NewFile(reportFD, "report")
	_, _ = report.WriteString(err.Error()) // the parent may be gone
	os.Exit(127)
}

func becomeCommand() error {
	if err := closeAllOnExec(); err != nil {
		return err
	}
	var o order
	if err := json.NewDecoder(os.NewFile(orderFD, "order")).Decode(&o); err != nil {
		return fmt.Errorf("no order: %w", err) // who should give it is gone
	}
	if err := o.prepare(); err != nil {
		return err
	}
	return o.explain(syscall.Exec(o.Path, o.Args, os.Environ()))
}

// explain says more of why the command could not be run.
func (o *order) explain(err error) error {
	switch {
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("exec: %w (user %d may not execute it, or not enter a directory above it)", err, os.Geteuid())
	case errors.Is(err, syscall.ENOENT):
		if _, missing := os.Stat(o.Path); missing == nil {
			return fmt.Errorf("exec: %w (the program is there: is the interpreter in its first line?)", err)
		}
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("exec: %w (does a script lack its first line, such as #!/bin/sh?)", err)
	}
	return fmt.Errorf("exec: %w", err)
}

// closeAllOnExec covers what whoever started us left open for us.
func closeAllOnExec() error {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
	return nil
}

// prepare sets everything, what only root may first.
func (o *order) prepare() error {
	if o.Dir != "" {
		if err := syscall.Chdir(o.Dir); err != nil {
			return fmt.Errorf("in working directory %s: %w", o.Dir, err)
		}
	}
	if o.Nice != 0 {
		if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, o.Nice); err != nil {
			return fmt.Errorf("nice %d: %w", o.Nice, err)
		}
	}
	if err := o.Limits.set(); err != nil {
		return err
	}
	if o.Umask != nil {
		syscall.Umask(*o.Umask)
	}
	if a := o.Account; a != nil {
		if err := a.become(); err != nil {
			return err
		}
		if err := o.leave(); err != nil {
			return err
		}
	}
	// Changing the user has cleared it, and the one that was set was the first thread's.
	if err := dieWithParent(); err != nil {
		return err
	}
	if os.Getppid() != o.Parent {
		return errors.New("who started this is gone")
	}
	return o.Limits.setAddressSpace() // the last thing: we may not fit in it ourselves
}

// leave goes to / from a working directory that the account may not enter, if it is merely
// the one where whoever started us was. The program would fail on it, or on "." in the
// paths it looks for its parts in.
func (o *order) leave() error {
	const enter = 1 // X_OK
	err := syscall.Access(".", enter)
	switch {
	case err == nil:
		return nil
	case o.Dir != "":
		return fmt.Errorf("in working directory %s: user %d may not enter it: %w", o.Dir, o.Account.UID, err)
	}
	where, whereErr := os.Getwd()
	if whereErr != nil {
		where = "this directory"
	}
	if err := syscall.Chdir("/"); err != nil {
		return fmt.Errorf("in working directory /: %w", err)
	}
	fmt.Fprintf(os.Stderr, "sluice: the working directory is /, because user %d may not enter %s (to have another, set dir: --command-dir)\n", o.Account.UID, where)
	return nil
}

func (a *orderAccount) become() error {
	if err := syscall.Setgroups(a.Groups); err != nil {
		return fmt.Errorf("groups %v: %w", a.Groups, err)
	}
	if err := syscall.Setgid(a.GID); err != nil {
		return fmt.Errorf("group %d: %w", a.GID, err)
	}
	if err := syscall.Setuid(a.UID); err != nil {
		return fmt.Errorf("user %d: %w", a.UID, err)
	}
	return nil
}
