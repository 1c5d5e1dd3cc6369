package supervise

import (
	"time"
)

// Snapshot is the state of the application's processes at one instant.
type Snapshot struct {
	Command   string            `json:"command"` // without its arguments, which may be secret
	Breaker   string            `json:"breaker"` // "closed"; "open": requests are refused; "probing"
	Budget    BudgetSnapshot    `json:"budget"`
	CrashLoop CrashLoopSnapshot `json:"storm"`
	Memory    MemorySnapshot    `json:"memory"`
	Suspects  []SuspectSnapshot `json:"suspects"`

	Concurrency ConcurrencySnapshot `json:"concurrency"`

	Started   uint64             `json:"started"`   // children, since the start
	Answered  uint64             `json:"answered"`  // requests, by all children since the start
	Exits     map[string]uint64  `json:"exits"`     // ends of children since the start, by kind; all kinds are there
	Instances []InstanceSnapshot `json:"instances"` // in the order in which they were made
}

// BudgetSnapshot is the state of the Budget.
type BudgetSnapshot struct {
	Left   int     `json:"left"`
	Spawns int     `json:"spawns"`
	Per    float64 `json:"per_seconds"`
	Stop   bool    `json:"stop"`
}

// CrashLoopSnapshot is about processes that end again and again.
type CrashLoopSnapshot struct {
	Active     bool      `json:"on"`
	Began      time.Time `json:"began,omitzero"` // of the last crash loop, if none is active
	Count      int       `json:"deaths"`         // exits in the crash loop
	LastMinute int       `json:"last_minute"`    // exits in the last minute, crash loop or not
	Exits      []Exit    `json:"exits"`          // the last ones of all instances, the oldest first
}

// MemorySnapshot is what all processes use, and the limits.
type MemorySnapshot struct {
	Kind  string `json:"kind"`                  // how memory is measured: "cgroup v2", "proc", "none"
	Used  uint64 `json:"used_bytes,omitempty"`  // 0 if there is no limit: then memory is not measured
	Total uint64 `json:"total_bytes,omitempty"` // the limits; 0: none
	Hard  uint64 `json:"hard_bytes,omitempty"`  // of each instance
	Soft  uint64 `json:"soft_bytes,omitempty"`  // of each instance
}

// InstanceSnapshot is one instance of the application.
type InstanceSnapshot struct {
	Addr     string    `json:"addr"`
	Number   int       `json:"number"` // from 0, the lowest that no other instance has
	PID      int       `json:"pid"`    // 0: no process
	State    string    `json:"state"`
	Since    time.Time `json:"since"`              // in that state
	Begun    time.Time `json:"begun,omitzero"`     // when the current or last process was started
	Next     time.Time `json:"next,omitzero"`      // when the next process is started
	Restarts int       `json:"restarts"`           // processes that were started, without the first
	Answered uint64    `json:"answered"`           // requests, by the current process
	Outdated string    `json:"outdated,omitempty"` // why the process is to be replaced: "restart", "max_requests", ...
	LastExit *Exit     `json:"last_exit,omitempty"`
	Lines    []string  `json:"lines"`                  // the last lines of output of the current process
	Memory   uint64    `json:"memory_bytes,omitempty"` // as the limits count; 0 if there are none
	Usage    *Usage    `json:"usage,omitempty"`        // nil: no process, or not known
}

// Usage is what the processes of an instance use.
type Usage struct {
	Processes int     `json:"processes"`
	Threads   int     `json:"threads"`
	CPU       float64 `json:"cpu_seconds"`
	RSS       uint64  `json:"rss_bytes"` // what processes share counts for each of them
	PSS       uint64  `json:"pss_bytes"` // what they share is shared out; 0: not known

	// OpenFiles are those of the process that is nearest to its limit.
	OpenFiles      int    `json:"open_files"`
	OpenFilesLimit uint64 `json:"open_files_limit"`
}

// Snapshot returns the state. It reads /proc for all processes of the system, so that it is
// not for every request.
func (g *Group) Snapshot() Snapshot {
	s := g.QuickSnapshot()
	usages := g.usages.read(s.pids())
	for i := range s.Instances {
		shot := &s.Instances[i]
		shot.Usage = usages[shot.PID]
	}
	return s
}

// QuickSnapshot is Snapshot without Usage.
func (g *Group) QuickSnapshot() (s Snapshot) {
	g.supervisor.call(func() { s = g.supervisor.snapshot() })
	s.Memory.Kind = g.memory.Kind()
	return s
}

// pids are the process ids of the instances.
func (s *Snapshot) pids() (pids []int) {
	for i := range s.Instances {
		if pid := s.Instances[i].PID; pid != 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

func (sup *supervisor) snapshot() Snapshot {
	now, limits := time.Now(), sup.plan.Memory
	sup.crashLoop.prune(now)
	s := Snapshot{
		Command: sup.plan.Command[0],
		Breaker: "closed",
		Budget:  BudgetSnapshot{sup.budget.left(now), sup.budget.max, sup.budget.window.Seconds(), sup.plan.SpawnBudget.Stop},
		CrashLoop: CrashLoopSnapshot{
			sup.crashLoop.active, sup.crashLoop.began, sup.crashLoop.count, len(sup.crashLoop.recent), append([]Exit{}, sup.crashLoop.exits...),
		},
		Memory:   MemorySnapshot{Used: sup.memory.total, Total: limits.Total, Hard: limits.Hard, Soft: limits.Soft},
		Suspects: sup.suspects.snapshot(now), Concurrency: sup.concurrency.snapshot(sup.plan),
		Started:  sup.counters.started,
		Answered: sup.counters.answered,
		Exits:    sup.counters.byKind(),
	}
	for _, in := range sup.instances {
		switch in.machine.state {
		case stateBroken:
			if s.Breaker == "closed" && sup.refusingUntil.Load() != 0 {
				s.Breaker = "open"
			}
		case stateProbing:
			s.Breaker = "probing"
		}
		s.Instances = append(s.Instances, in.snapshot())
		s.Answered += in.stats.Load().answers.Load()
	}
	return s
}

func (in *instance) snapshot() InstanceSnapshot {
	m := in.machine
	shot := InstanceSnapshot{
		Addr: in.socket.Addr, Number: in.number,
		State: m.state.String(), Since: m.since, Begun: m.startedAt, Next: m.next,
		Restarts: max(in.spawns-1, 0), Outdated: string(in.replaceReason), LastExit: in.lastExit,
		Lines: []string{},
	}
	if in.child != nil {
		shot.PID, shot.Lines = in.child.PID(), append(shot.Lines, in.child.Lines()...)
		shot.Answered, shot.Memory = in.stats.Load().answers.Load(), in.memory.used
	}
	return shot
}
