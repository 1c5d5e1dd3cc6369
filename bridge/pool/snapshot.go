package pool

import "time"

// Snapshot is the state of a pool at one instant.
type Snapshot struct {
	Waiting   int                `json:"waiting"` // requests without a connection
	Instances []InstanceSnapshot `json:"instances"`
}

// InstanceSnapshot is the state of one instance. Dialing + Busy + Idle + Closing,
// and what Requests is more than Busy, never exceed Workers. The counters only
// grow.
type InstanceSnapshot struct {
	Addr string `json:"addr"`
	// State is "unknown" before the first connection, "up", "full" while the
	// application is believed to hold less than it should, "down" if the last attempt
	// to connect failed.
	State    string `json:"state"`
	Workers  int    `json:"workers"`  // as configured
	Observed int    `json:"observed"` // what it is believed to hold now; at most Workers

	Dialing  int `json:"dialing"`
	Busy     int `json:"busy"`
	Idle     int `json:"idle"`
	Closing  int `json:"closing"`
	Requests int `json:"requests"` // in progress; more than Busy if they share connections
	Zombies  int `json:"zombies"`  // of those, how many for nobody: the client left, or the time was up

	Multiplex string `json:"multiplex"`     // "on", "off", "unknown"
	Retires   bool   `json:"retires"`       // it closes kept connections of its own accord
	Closes    bool   `json:"closes_always"` // it closes every connection after its answer

	Dials       uint64            `json:"dials"`
	DialErrors  uint64            `json:"dial_errors"`
	BacklogFull uint64            `json:"backlog_full"` // attempts to connect that found the backlog full
	TurnedAway  uint64            `json:"turned_away"`  // requests it had no room for: connections closed at once, OVERLOADED
	Reuses      uint64            `json:"reuses"`
	Stale       uint64            `json:"stale"`     // kept connections found dead before reuse
	Yielded     uint64            `json:"yielded"`   // good ones closed because others waited to be accepted
	Discarded   uint64            `json:"discarded"` // requests that did not end cleanly, and their connections unless shared
	Replays     map[string]uint64 `json:"replays"`   // requests sent again, by reason: stale, turned_away, overloaded, cant_multiplex

	AcceptQueue *QueueSnapshot `json:"accept_queue,omitempty"` // nil if not known
	LastError   string         `json:"last_error,omitempty"`   // of connecting
	LastErrorAt time.Time      `json:"last_error_at,omitzero"`
}

// QueueSnapshot is what a listening socket holds that nobody has accepted.
type QueueSnapshot struct {
	Depth   int `json:"depth"`   // connections
	Backlog int `json:"backlog"` // how many there can be
}

// Snapshot returns the pool's state.
func (p *Pool) Snapshot() Snapshot {
	s := p.snapshot()
	for i, in := range p.instances {
		if in.Queue == nil {
			continue
		}
		if depth, backlog, err := in.Queue(); err == nil {
			s.Instances[i].AcceptQueue = &QueueSnapshot{depth, backlog}
		}
	}
	return s
}

func (p *Pool) snapshot() Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Snapshot{Waiting: p.waiters.Len()}
	for _, in := range p.instances {
		n := &in.counters
		is := InstanceSnapshot{
			Addr: in.Addr, State: in.state(p.cfg.Workers), Workers: p.cfg.Workers, Observed: in.observed.now,
			Dialing: in.count[dialing], Busy: in.count[busy], Idle: in.count[idle], Closing: in.count[closing],
			Requests: in.count[busy] + in.extra, Zombies: in.zombies,
			Multiplex: in.sharing.verdict.String(), Retires: in.habits.retires(), Closes: in.habits.closes(),
			Dials: n.dials, DialErrors: n.dialErrors, BacklogFull: n.backlogs, TurnedAway: n.turnedAway,
			Reuses: n.reuses, Stale: n.stale, Yielded: n.yielded, Discarded: n.discards, Replays: make(map[string]uint64, reasons),
			LastErrorAt: in.outage.at,
		}
		if p.cfg.Multiplex == MultiplexOff || in.sharing.verdict == notKnown && in.habits.silent() {
			is.Multiplex = no.String()
		}
		if in.outage.err != nil {
			is.LastError = dialReason(in.outage.err)
		}
		for r, count := range n.replays {
			is.Replays[reason(r).String()] = count
		}
		s.Instances = append(s.Instances, is)
	}
	return s
}

func (in *instance) state(workers int) string {
	switch {
	case in.down():
		return "down"
	case in.lastOK.IsZero():
		return "unknown"
	case in.observed.now < workers:
		return "full"
	}
	return "up"
}

// CountReplay counts that a request which failed with e is sent again.
func (p *Pool) CountReplay(e *Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, in := range p.instances {
		if in.Addr == e.Addr {
			in.counters.replays[e.reason()]++
		}
	}
}
