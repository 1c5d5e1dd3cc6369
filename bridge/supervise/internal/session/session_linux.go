package session

import "github.com/prometheus/procfs"

// Session is the session that a child leads. Its processes descend from the child.
type Session struct {
	Leader int    // process id of the child, and so the id of the session
	Start  uint64 // when the leader was started, in ticks since the boot
}

// Process is a living process of a session.
type Process struct {
	procfs.Proc
	Stat procfs.ProcStat
}

// Members returns the processes of some sessions, without those that end meanwhile.
func Members(of ...Session) (map[Session][]Process, error) {
	all, err := procfs.AllProcs()
	if err != nil {
		return nil, err
	}
	byLeader := make(map[int]Session, len(of))
	for _, s := range of {
		byLeader[s.Leader] = s
	}
	found := make(map[Session][]Process, len(of))
	for _, p := range all {
		stat, err := p.Stat()
		if err != nil {
			continue // it has ended
		}
		s, ok := byLeader[stat.Session]
		if !ok {
			continue
		}
		if p.PID == s.Leader && stat.Starttime != s.Start {
			delete(byLeader, s.Leader) // another process has the id now, and another session
			delete(found, s)
			continue
		}
		if stat.State != "Z" && stat.State != "X" {
			found[s] = append(found[s], Process{p, stat})
		}
	}
	return found, nil
}

// Memory is the proportional set size of the process or, if that may not be read, the resident
// set size.
func (m Process) Memory() uint64 {
	if r, err := m.ProcSMapsRollup(); err == nil {
		return r.Pss
	}
	return uint64(m.Stat.ResidentMemory())
}
