package pool

import "time"

// Snapshot is the state of a pool at one instant.
type Snapshot struct {
	Waiting   int                `json:"waiting"` // requests without a connection
	Instances []InstanceSnapshot `json:"instances"`
}

// InstanceSnapshot is the state of one instance. Dialing + Busy + Idle + Closing
// never exceed Workers; Zombies are among the busy. The counters only grow.
type InstanceSnapshot struct {
	Addr    string `json:"addr"`
	Workers int    `json:"workers"`
	Dialing int    `json:"dialing"`
	Busy    int    `json:"busy"`
	Idle    int    `json:"idle"`
	Closing int    `json:"closing"`
	Zombies int    `json:"zombies"` // busy for nobody: the client left, or the time was up
	Retires bool   `json:"retires"` // it closes kept connections of its own accord

	Dials       uint64    `json:"dials"`
	DialErrors  uint64    `json:"dial_errors"`
	BacklogFull uint64    `json:"backlog_full"` // attempts to connect that found the backlog full
	Reuses      uint64    `json:"reuses"`
	Stale       uint64    `json:"stale"`     // kept connections found dead before reuse
	Discarded   uint64    `json:"discarded"` // connections closed because their exchange did not end cleanly
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
}

// Snapshot returns the pool's state.
func (p *Pool) Snapshot() Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Snapshot{Waiting: p.waiters.Len()}
	for _, in := range p.instances {
		is := InstanceSnapshot{
			Addr: in.Addr, Workers: p.cfg.Workers,
			Dialing: in.count[dialing], Busy: in.count[busy], Idle: in.count[idle], Closing: in.count[closing],
			Zombies: in.zombies, Retires: in.retires,
			Dials: in.dials, DialErrors: in.dialErrors, BacklogFull: in.backlogs,
			Reuses: in.reuses, Stale: in.stale, Discarded: in.discards, LastErrorAt: in.lastErrAt,
		}
		if in.lastErr != nil {
			is.LastError = dialReason(in.lastErr)
		}
		s.Instances = append(s.Instances, is)
	}
	return s
}
