package session

import (
	"os"
	"strings"

	"github.com/prometheus/procfs"
)

// Identity distinguishes a process from others that have its id at other times: by the boot of
// the system, and the start of the process in ticks since then.
func Identity(pid int) (boot string, start uint64, err error) {
	if boot, err = BootID(); err != nil {
		return "", 0, err
	}
	p, err := procfs.NewProc(pid)
	if err != nil {
		return "", 0, err
	}
	s, err := p.Stat()
	return boot, s.Starttime, err
}

// BootID is different after each boot.
func BootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text)), err
}
