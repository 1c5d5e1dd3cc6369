package proc

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Lacks says what this system cannot do, for the log; "" if nothing.
const Lacks = ""

// childAttr has the child lead a session and a process group, and get SIGTERM when the thread
// ends that has started it.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
}

// dieWithParent has this thread get that SIGTERM.
func dieWithParent() error {
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGTERM), 0, 0, 0); err != nil {
		return fmt.Errorf("PR_SET_PDEATHSIG: %w", err)
	}
	return nil
}

// awaitExit waits until the leader has exited, and does not reap it: until then no other
// process, nor group, can have its id.
func (c *Child) awaitExit() {
	for {
		err := unix.Waitid(unix.P_PID, c.PID(), nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return // no other error is possible: it is a child
		}
	}
}

// self is the program of this process, even if its file was replaced meanwhile.
func self() (string, error) { return "/proc/self/exe", nil }
