package supervise

import "syscall"

// Lacks says what this system cannot do, for the log; "" if nothing.
const Lacks = ""

// childAttr gives the child a process group of its own and a SIGTERM when the
// thread that started it ends.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
