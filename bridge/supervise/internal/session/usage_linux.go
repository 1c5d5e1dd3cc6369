package session

import "github.com/prometheus/procfs"

// UsageOf is what the processes of the session of a child use; nil if there are none.
func UsageOf(leader int) *Usage {
	_, start, err := Identity(leader)
	if err != nil {
		return nil // it has ended
	}
	s := Session{leader, start}
	found, err := Members(s)
	if err != nil || len(found[s]) == 0 {
		return nil
	}
	u := &Usage{}
	for _, m := range found[s] {
		u.Processes++
		u.Threads += m.Stat.NumThreads
		u.CPU += m.Stat.CPUTime()
		u.RSS += uint64(m.Stat.ResidentMemory())
		if r, err := m.ProcSMapsRollup(); err == nil { // another user's process can be read only by root
			u.PSS += r.Pss
		}
		u.noteFiles(m.Proc)
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
