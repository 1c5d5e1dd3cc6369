package supervise

import (
	"encoding/json"
	"slices"
	"time"
)

// Snapshot is the state of the application's processes at one instant.
type Snapshot struct {
	Command   string             `json:"command"` // without its arguments, which may be secret
	Breaker   string             `json:"breaker"` // "closed"; "open": requests should be refused; "probing"
	Budget    BudgetSnapshot     `json:"budget"`
	Storm     StormSnapshot      `json:"storm"`
	Instances []InstanceSnapshot `json:"instances"`
}

// BudgetSnapshot is how many children may yet die, see Budget.
type BudgetSnapshot struct {
	Left   int     `json:"left"`
	Spawns int     `json:"spawns"`
	Per    float64 `json:"per_seconds"`
	Stop   bool    `json:"stop"`
}

// StormSnapshot is about children that die in numbers.
type StormSnapshot struct {
	On         bool      `json:"on"`
	Began      time.Time `json:"began,omitzero"` // the last one, if it is over
	Deaths     int       `json:"deaths"`         // in it
	LastMinute int       `json:"last_minute"`    // deaths, storm or not
}

// InstanceSnapshot is one instance of the application.
type InstanceSnapshot struct {
	Addr     string    `json:"addr"`
	PID      int       `json:"pid"` // 0: none runs
	State    string    `json:"state"`
	Since    time.Time `json:"since"`           // in that state
	Begun    time.Time `json:"begun"`           // when the child there is, or was last, was started
	Next     time.Time `json:"next,omitzero"`   // when one will be started
	Restarts int       `json:"restarts"`        // children that were started, but the first
	Answered uint64    `json:"answered"`        // requests, by the child there is
	Exits    []Exit    `json:"exits"`           // the last ones, the oldest first
	Lines    []string  `json:"lines"`           // the last that the child there is wrote
	Usage    *Usage    `json:"usage,omitempty"` // nil: none runs, or the system does not tell
}

// Usage is what an instance uses: the child and its process group.
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

// Snapshot returns the state. It reads /proc of all processes: it is for people and for
// monitoring, not for every request.
func (p *Process) Snapshot() Snapshot {
	s := p.keeper.snapshot()
	s.Command = p.plan.Command[0]
	s.Budget.Stop = p.plan.SpawnBudget.Stop
	in := &s.Instances[0]
	in.Addr = p.socket.addr
	if in.PID != 0 {
		in.Usage = usage(in.PID)
	}
	return s
}

func (k *keeper) snapshot() Snapshot {
	k.mu.Lock()
	defer k.mu.Unlock()
	now, m := time.Now(), k.machine
	k.storm.forget(now)
	s := Snapshot{
		Breaker: "closed",
		Budget:  BudgetSnapshot{Left: m.budget.left(now), Spawns: m.budget.most, Per: m.budget.window.Seconds()},
		Storm:   StormSnapshot{k.storm.on, k.storm.began, k.storm.deaths, len(k.storm.recent)},
	}
	switch m.state {
	case Broken:
		s.Breaker = "open"
	case Probing:
		s.Breaker = "probing"
	}
	in := InstanceSnapshot{
		State: m.state.String(), Since: m.since, Begun: m.begun, Next: m.next,
		Restarts: max(k.spawns-1, 0), Exits: slices.Clone(k.storm.exits),
	}
	if k.child != nil {
		in.PID, in.Lines = k.child.pid(), k.child.lines()
		in.Answered = k.merit.Load().answers.Load()
	}
	s.Instances = []InstanceSnapshot{in}
	return s
}

// MarshalJSON writes an Exit as people read it.
func (e Exit) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Time   time.Time `json:"time"`
		PID    int       `json:"pid"`
		How    string    `json:"how"`
		Lived  float64   `json:"lived_ms"`
		Served bool      `json:"served"`
		Lines  []string  `json:"lines"`
	}{e.Time, e.PID, e.how(), float64(e.Lived) / float64(time.Millisecond), e.Served, e.Lines})
}
