package nested

import (
	"os"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"
)

// findOwners sets the values of wanted to the processes that hold the sockets with the inodes in its
// keys. It looks at the processes in at, all if at is nil. This process is left out: it may hold the
// application's listening socket.
func findOwners(wanted map[uint64][]int, at []int) {
	var processes procfs.Procs
	for _, pid := range at {
		if p, err := procfs.NewProc(pid); err == nil { // otherwise it has ended
			processes = append(processes, p)
		}
	}
	if at == nil {
		var err error
		if processes, err = procfs.AllProcs(); err != nil {
			return
		}
	}
	self := os.Getpid()
	for _, p := range processes {
		if p.PID == self || p.PID == 1 { // 1 may hold the socket of a service
			continue
		}
		targets, err := p.FileDescriptorTargets() // the process may have ended, or belong to another user
		if err != nil {
			continue
		}
		for _, t := range targets {
			number, ok := strings.CutPrefix(t, "socket:[")
			if !ok {
				continue
			}
			inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64)
			if err != nil {
				continue
			}
			if pids, ok := wanted[inode]; ok && !holds(pids, p.PID) {
				wanted[inode] = append(pids, p.PID)
			}
		}
	}
}

// maxAncestors bounds the length of a lineage.
const maxAncestors = 6

// lineage returns a process and its ancestors, without this process and process 1.
func lineage(pid int) (pids []int) {
	self := os.Getpid()
	for len(pids) < maxAncestors && pid > 1 && pid != self {
		pids = append(pids, pid)
		p, err := procfs.NewProc(pid)
		if err != nil {
			return pids
		}
		stat, err := p.Stat()
		if err != nil {
			return pids
		}
		pid = stat.PPID
	}
	return pids
}

// threads returns the number of a process's threads, 0 if it has ended.
func threads(pid int) int {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return 0
	}
	stat, err := p.Stat()
	if err != nil {
		return 0
	}
	return stat.NumThreads
}
