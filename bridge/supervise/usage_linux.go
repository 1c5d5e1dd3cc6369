package supervise

import "github.com/prometheus/procfs"

// usage is what the processes of a group use; nil if there are none. Processes that end
// meanwhile are left out.
func usage(group int) *Usage {
	all, err := procfs.AllProcs()
	if err != nil {
		return nil
	}
	u := &Usage{}
	for _, p := range all {
		s, err := p.Stat()
		if err != nil || s.PGRP != group || s.State == "Z" {
			continue
		}
		u.Processes++
		u.Threads += s.NumThreads
		u.CPU += s.CPUTime()
		u.RSS += uint64(s.ResidentMemory())
		if r, err := p.ProcSMapsRollup(); err == nil { // not another user's, unless we are root
			u.PSS += r.Pss
		}
		u.noteFiles(p)
	}
	if u.Processes == 0 {
		return nil
	}
	return u
}

func (u *Usage) noteFiles(p procfs.Proc) {
	n, err := p.FileDescriptorsLen()
	if err != nil {
		return
	}
	limits, err := p.Limits()
	if err != nil || limits.OpenFiles == 0 {
		return
	}
	if u.OpenFilesLimit == 0 || float64(n)/float64(limits.OpenFiles) > float64(u.OpenFiles)/float64(u.OpenFilesLimit) {
		u.OpenFiles, u.OpenFilesLimit = n, limits.OpenFiles
	}
}
