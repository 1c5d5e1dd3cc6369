package session

import "github.com/prometheus/procfs"

// session is the session that a child leads. All in it descend from the child.
type Session struct {
	Leader int    // process id; the session's, too
	Start  uint64 // when the leader was started, in ticks since the boot
}

// member is a living process of a session.
type Process struct {
	procfs.Proc
	Stat procfs.ProcStat
}

// members looks for the processes of sessions. Those that end meanwhile are left out.
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
			delete(byLeader, s.Leader) // the id has come to mean another: its session is not ours
			delete(found, s)
			continue
		}
		if stat.State != "Z" && stat.State != "X" {
			found[s] = append(found[s], Process{p, stat})
		}
	}
	return found, nil
}

// memory is a process's share of what it has in memory, or all of that if the share may
// not be read.
func (m Process) Memory() uint64 {
	if r, err := m.ProcSMapsRollup(); err == nil {
		return r.Pss
	}
	return uint64(m.Stat.ResidentMemory())
}
