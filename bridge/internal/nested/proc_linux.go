package nested

import (
	"os"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"
)

// findOwners fills in which of some processes, or of all if there are none, hold the
// sockets with the inodes that are the keys of wanted. This process is none of them: it may
// hold the application's listening socket.
func findOwners(wanted map[uint64][]int, at []int) {
	var processes procfs.Procs
	for _, pid := range at {
		if p, err := procfs.NewProc(pid); err == nil { // else it has ended
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
		if p.PID == self || p.PID == 1 { // 1 may hold it for a service
			continue
		}
		targets, err := p.FileDescriptorTargets() // it may have ended, or be somebody else's
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

// mostAncestors is how many a process is looked at for.
const mostAncestors = 6

// lineage is a process and those it descends from, up to this one and the first.
func lineage(pid int) (pids []int) {
	self := os.Getpid()
	for len(pids) < mostAncestors && pid > 1 && pid != self {
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

// threads is how many a process has, 0 if it has ended.
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
