//go:build unix && !linux

package proc

import (
	"os"
	"syscall"
)

// Lacks says what this system cannot do, for the log; "" if nothing.
const Lacks = "this system cannot end the command when Sluice is killed outright: it would live on"

// childAttr has the child lead a session and a process group.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

func dieWithParent() error { return nil }

// awaitExit waits until the leader has exited, and reaps it. In theory another process can have
// its id, and the id of the group, when the rest of the group is killed.
func (c *Child) awaitExit() { _ = c.cmd.Wait() }

// self is this process's own program.
func self() (string, error) { return os.Executable() }
