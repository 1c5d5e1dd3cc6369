//go:build unix && !linux

package supervise

import "syscall"

// childAttr gives the child a process group of its own. This system has no
// signal for a child whose parent dies: if Sluice is killed, the child lives on.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
