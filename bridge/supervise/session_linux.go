package supervise

import "github.com/prometheus/procfs"

// session is the session that a child leads. All in it descend from the child.
type session struct {
	leader int    // process id; the session's, too
	start  uint64 // when the leader was started, in ticks since the boot
}

// member is a living process of a session.
type member struct {
	procfs.Proc
	stat procfs.ProcStat
}

// members looks for the processes of sessions. Those that end meanwhile are left out.
func members(of ...session) (map[session][]member, error) {
	all, err := procfs.AllProcs()
	if err != nil {
		return nil, err
	}
	byLeader := make(map[int]session, len(of))
	for _, s := range of {
		byLeader[s.leader] = s
	}
	found := make(map[session][]member, len(of))
	for _, p := range all {
		stat, err := p.Stat()
		if err != nil {
			continue // it has ended
		}
		s, ok := byLeader[stat.Session]
		if !ok {
			continue
		}
		if p.PID == s.leader && stat.Starttime != s.start {
			delete(byLeader, s.leader) // the id has come to mean another: its session is not ours
			delete(found, s)
			continue
		}
		if stat.State != "Z" && stat.State != "X" {
			found[s] = append(found[s], member{p, stat})
		}
	}
	return found, nil
}

// memory is a process's share of what it has in memory, or all of that if the share may
// not be read.
func (m member) memory() uint64 {
	if r, err := m.ProcSMapsRollup(); err == nil {
		return r.Pss
	}
	return uint64(m.stat.ResidentMemory())
}
