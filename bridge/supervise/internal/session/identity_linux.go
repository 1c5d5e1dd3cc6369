package session

import (
	"os"
	"strings"

	"github.com/prometheus/procfs"
)

// Identity tells a process from all others that have had its id: by the boot, and by when the
// process was started, in ticks since then.
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

// BootID is another after each boot.
func BootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text)), err
}
