package proc

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
// nice value or limits. This process cannot set them on itself for the child to inherit: they
// are the whole process's, and an address space for the application is too small for it.
// Nor can it set them from outside, by prlimit(2) on a child that ptrace(2) has stopped: root
// in a container may do neither to another user's process. Go's fork could set the working
// directory, but does not return if its file system does not answer. So the new process
// runs this process's own program first, which sets all of that on itself, root as long as
// it must be, and then executes the command. It does so only when it is told to, on a pipe,
// after it was recorded: each command that runs is known to the next start.

// childName is argv[0] of this program in the new process.
const childName = "sluice-child"

// The descriptors of the new process besides the usual ones: perhaps activationFD, and its ends of
// two pipes.
const (
	setupFD = activationFD + 1 // gives a setup
	errorFD = activationFD + 2 // takes why the command could not be executed; closed by exec
)

// Command is what a child runs, and how.
type Command struct {
	Path string
	Args []string // with the name of the program
	Dir  string   // "": this process's
	Env  []string `json:"-"` // the new process has it

	// Reexec has the new process run this process's own program first, which must call
	// ExecChild. The fields below need it.
	Reexec  bool `json:"-"`
	Umask   *int // nil: this process's
	Nice    int
	Limits  Limits
	Account *Account // nil: this process's
}

// setup is what the new process gets: the command, and what it needs to set that up.
type setup struct {
	Parent     int    // process id
	Activation bool   // activationFD is the command's listening socket
	SocketDir  string // where the command makes its socket; "": nowhere
	Command
}

// IsChild reports whether this process was started to execute a command: ExecChild was not
// called.
func IsChild() bool { return os.Args[0] == childName }

// ExecChild executes the command if this process was started for that; else it returns at
// once.
func ExecChild() {
	if !IsChild() {
		return
	}
	runtime.LockOSThread() // the parent's death signal is a thread's own
	err := execCommand()
	failed := os.NewFile(errorFD, "error")
	_, _ = failed.WriteString(err.Error()) // the parent may be gone
	os.Exit(127)
}

func execCommand() error {
	if err := closeAllOnExec(); err != nil {
		return err
	}
	var s setup
	if err := json.NewDecoder(os.NewFile(setupFD, "setup")).Decode(&s); err != nil {
		return fmt.Errorf("no setup: %w", err) // the parent is gone
	}
	if err := s.apply(); err != nil {
		return err
	}
	if s.Activation {
		if err := activate(); err != nil {
			return err
		}
	}
	return s.explain(syscall.Exec(s.Path, s.Args, os.Environ()))
}

// explain adds the usual cause to an error of exec.
func (s *setup) explain(err error) error {
	switch {
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("exec: %w (user %d may not execute it, or not enter a directory above it)", err, os.Geteuid())
	case errors.Is(err, syscall.ENOENT):
		if _, missing := os.Stat(s.Path); missing == nil {
			return fmt.Errorf("exec: %w (the program is there: is the interpreter in its first line?)", err)
		}
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("exec: %w (does a script lack its first line, such as #!/bin/sh?)", err)
	}
	return fmt.Errorf("exec: %w", err)
}

// closeAllOnExec covers descriptors that this process has inherited itself.
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

// apply sets everything, first what only root may set.
func (s *setup) apply() error {
	if s.Dir != "" {
		if err := syscall.Chdir(s.Dir); err != nil {
			return fmt.Errorf("in working directory %s: %w", s.Dir, err)
		}
	}
	if s.Nice != 0 {
		if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, s.Nice); err != nil {
			return fmt.Errorf("nice %d: %w", s.Nice, err)
		}
	}
	if err := s.Limits.set(); err != nil {
		return err
	}
	if s.Umask != nil {
		syscall.Umask(*s.Umask)
	}
	if a := s.Account; a != nil {
		if err := a.become(); err != nil {
			return err
		}
		if err := s.leaveDir(); err != nil {
			return err
		}
	}
	if err := s.canMakeSocket(); err != nil {
		return err
	}
	// Changing the user has cleared the signal, which was set for another thread.
	if err := dieWithParent(); err != nil {
		return err
	}
	if os.Getppid() != s.Parent {
		return errors.New("the process that started this one is gone")
	}
	return s.Limits.setAddressSpace() // last: this program may not fit in it
}

// leaveDir changes to / if the account may not enter the working directory and that was not
// configured but inherited. The program would fail in it, or on "." in its search paths.
func (s *setup) leaveDir() error {
	const enter = 1 // X_OK
	err := syscall.Access(".", enter)
	switch {
	case err == nil:
		return nil
	case s.Dir != "":
		return fmt.Errorf("in working directory %s: user %d may not enter it: %w", s.Dir, s.Account.UID, err)
	}
	where, whereErr := os.Getwd()
	if whereErr != nil {
		where = "this directory"
	}
	if err := syscall.Chdir("/"); err != nil {
		return fmt.Errorf("in working directory /: %w", err)
	}
	fmt.Fprintf(os.Stderr, "sluice: the working directory is /, because user %d may not enter %s (to have another, set dir: --command-dir)\n", s.Account.UID, where)
	return nil
}

// canMakeSocket returns an error if the account may not make a socket in SocketDir, because of a
// directory above it.
func (s *setup) canMakeSocket() error {
	const writeAndEnter = 2 | 1 // W_OK | X_OK
	if s.SocketDir == "" {
		return nil
	}
	if err := syscall.Access(s.SocketDir, writeAndEnter); err != nil {
		return fmt.Errorf("socket in %s: user %d may not make it there: %w (set TMPDIR to a directory that everybody may enter)", s.SocketDir, os.Geteuid(), err)
	}
	return nil
}

func (a *Account) become() error {
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
