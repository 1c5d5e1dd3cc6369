//go:build unix && !linux

package proc

import (
	"os"
	"syscall"
)

// Lacks says what this system cannot do, for the log; "" if nothing.
const Lacks = "this system cannot end the command when Sluice is killed outright: it would live on"

// childAttr gives the child a session and process group of its own.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

func dieWithParent() error { return nil }

// awaitExit waits until the leader has exited. Its id, which is its group's, may mean
// somebody else when what is left of the group is ended, in theory.
func (c *Child) awaitExit() { _ = c.cmd.Wait() }

// self is this process's own program.
func self() (string, error) { return os.Executable() }
