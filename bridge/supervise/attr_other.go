//go:build unix && !linux

package supervise

import "syscall"

// Lacks says what this system cannot do, for the log; "" if nothing.
const Lacks = "this system cannot end the command when Sluice is killed outright: it would live on"

// childAttr gives the child a process group of its own.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
