package pool

import (
	"maps"
	"slices"
	"time"
)

// Snapshot is the state of a pool at one instant.
type Snapshot struct {
	Waiting   int                `json:"waiting"` // requests without a connection
	Instances []InstanceSnapshot `json:"instances"`
	// Removed is what removed instances have counted, all together. Connections that they
	// have left are in no snapshot.
	Removed RemovedSnapshot `json:"removed,omitzero"`
}

// RemovedSnapshot is what is left of instances that were removed.
type RemovedSnapshot struct {
	Instances uint64 `json:"instances"` // how many there were
	Counters
}

// InstanceSnapshot is the state of one instance. Dialing, Busy, Idle, AtWork, Closing and
// the requests beyond Busy are at most Workers together. After Workers was lowered they may
// be more, but do not grow.
type InstanceSnapshot struct {
	Addr string `json:"addr"`
	// State is "unknown" before the first connection, "down" if the last dial failed, "full"
	// if Observed is below Workers, "draining" if it gets no more requests, or "up".
	State    string `json:"state"`
	Workers  int    `json:"workers"`  // as configured
	Observed int    `json:"observed"` // what it is believed to hold now; at most Workers
	Limit    int    `json:"limit"`    // connections that this pool may have: fewer than Workers while others use it, too

	Dialing int `json:"dialing"`
	Busy    int `json:"busy"`
	Idle    int `json:"idle"`
	// AtWork is how many kept connections are not used because their process works on after
	// its answer.
	AtWork   int `json:"at_work"`
	Closing  int `json:"closing"`
	Requests int `json:"requests"` // in progress; more than Busy if they share connections
	Zombies  int `json:"zombies"`  // of those, how many have answers that nobody waits for

	// KeepAlive is whether connections carry more than one request: "on", "off", or "unknown"
	// until the pool has found out. KeepAliveWhy is the reason for "off", if it was found out.
	KeepAlive    string `json:"keep_alive"`
	KeepAliveWhy string `json:"keep_alive_why,omitempty"`
	Multiplex    string `json:"multiplex"`     // "on", "off", "unknown"
	ClosesIdle   bool   `json:"retires"`       // it closes kept connections
	ClosesAlways bool   `json:"closes_always"` // it closes every connection after its answer

	Counters

	AcceptQueue *QueueSnapshot `json:"accept_queue,omitempty"` // nil if not known
	LastError   string         `json:"last_error,omitempty"`   // of the last dial that failed
	LastErrorAt time.Time      `json:"last_error_at,omitzero"`
}

// Counters only grow. They begin at zero when an instance is added, even if it was removed
// before.
type Counters struct {
	Dials       uint64            `json:"dials"`
	DialErrors  uint64            `json:"dial_errors"`
	BacklogFull uint64            `json:"backlog_full"` // dials that found the backlog full
	TurnedAway  uint64            `json:"turned_away"`  // connections closed at once, and requests refused with OVERLOADED
	Reuses      uint64            `json:"reuses"`
	Stale       uint64            `json:"stale"`     // kept connections found closed before reuse
	ShedIdle    uint64            `json:"yielded"`   // good connections closed because others waited to be accepted
	WorkedOn    uint64            `json:"worked_on"` // kept connections held because their process worked on after its answer
	Discarded   uint64            `json:"discarded"` // requests that did not end properly; unless shared, their connections were closed
	Replays     map[string]uint64 `json:"replays"`   // requests sent again, by reason: stale, turned_away, overloaded, cant_multiplex, ignored
}

func newCounters() *Counters {
	return &Counters{Replays: map[string]uint64{stale: 0, turnedAway: 0, overloaded: 0, cantMultiplex: 0, requestUnread: 0}}
}

func (n *Counters) add(other *Counters) {
	n.Dials += other.Dials
	n.DialErrors += other.DialErrors
	n.BacklogFull += other.BacklogFull
	n.TurnedAway += other.TurnedAway
	n.Reuses += other.Reuses
	n.Stale += other.Stale
	n.ShedIdle += other.ShedIdle
	n.WorkedOn += other.WorkedOn
	n.Discarded += other.Discarded
	for reason, count := range other.Replays {
		n.Replays[reason] += count
	}
}

func (n *Counters) clone() Counters {
	c := *n
	c.Replays = maps.Clone(n.Replays)
	return c
}

// QueueSnapshot is the accept queue of a listening socket.
type QueueSnapshot struct {
	Depth   int `json:"depth"`   // connections
	Backlog int `json:"backlog"` // how many fit
}

// Snapshot returns the pool's state.
func (p *Pool) Snapshot() Snapshot {
	s, instances := p.snapshot()
	for i, in := range instances {
		if in.Queue == nil {
			continue
		}
		if depth, backlog, err := in.Queue(); err == nil {
			s.Instances[i].AcceptQueue = &QueueSnapshot{depth, backlog}
		}
	}
	return s
}

// snapshot is Snapshot without the accept queues, which take time to read. It returns the
// instances, too.
func (p *Pool) snapshot() (Snapshot, []*instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Snapshot{Waiting: p.waiters.Len()}
	if p.removed > 0 {
		s.Removed = RemovedSnapshot{p.removed, p.removedCounters.clone()}
	}
	all := slices.Concat(p.instances, p.draining)
	s.Instances = make([]InstanceSnapshot, len(all))
	for i, in := range all {
		s.Instances[i] = p.instanceSnapshot(in)
	}
	return s, all
}

func (p *Pool) instanceSnapshot(in *instance) InstanceSnapshot {
	s := InstanceSnapshot{
		Addr: in.Addr, State: in.state(p.config().Workers), Workers: p.config().Workers, Observed: in.observed.now, Limit: p.limit.within(p.config().Workers),
		Dialing: in.count[dialing], Busy: in.count[busy], Idle: in.count[idle] + in.count[querying], Closing: in.count[closing], AtWork: in.count[atWork],
		Requests: in.count[busy] + in.extra, Zombies: in.zombies,
		Multiplex: in.sharing.state.String(), ClosesIdle: in.behaviour.closesIdle(), ClosesAlways: in.behaviour.closesAlways(),
		Counters: in.counters.clone(), LastErrorAt: in.outage.at,
	}
	if p.config().Multiplex == MultiplexOff || in.sharing.state == multiplexUnknown && in.behaviour.ignoresQueries() {
		s.Multiplex = multiplexNo.String()
	}
	s.KeepAlive, s.KeepAliveWhy = p.keepAlive(in)
	if in.outage.err != nil {
		s.LastError = dialReason(in.outage.err)
	}
	return s
}

// keepAlive is whether connections to in carry more than one request, and if not, why.
func (p *Pool) keepAlive(in *instance) (keep, why string) {
	mode := p.config().KeepAlive
	switch {
	case mode == KeepOff:
		return keepRefused.String(), ""
	case in.behaviour.closesAlways():
		return keepRefused.String(), "the application closes every connection after its answer"
	case p.config().WorksOn && in.behaviour.unverifiable && in.behaviour.ignoresQueries():
		return keepRefused.String(), "nobody can tell whether a process is back after its answer: it cannot be seen from here, and closes the connection when it is asked"
	case mode == KeepAuto:
		return in.keep.state.String(), in.keep.why
	}
	return keepTaken.String(), ""
}

func (in *instance) state(workers int) string {
	switch {
	case in.membership == draining:
		return "draining"
	case in.down():
		return "down"
	case in.lastOK.IsZero():
		return "unknown"
	case in.observed.now < workers:
		return "full"
	}
	return "up"
}

// CountReplay counts that a request that failed with e is sent again.
func (p *Pool) CountReplay(e *Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.removedCounters
	if in := p.find(e.Addr); in != nil {
		n = in.counters
	}
	n.Replays[e.reason()]++
}

// Addrs returns the addresses of the instances, serving and draining.
func (p *Pool) Addrs() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	addrs := make([]string, 0, len(p.instances)+len(p.draining))
	for _, in := range slices.Concat(p.instances, p.draining) {
		addrs = append(addrs, in.Addr)
	}
	return addrs
}

// Waiting is how many requests wait for a connection. It costs less than Snapshot.
func (p *Pool) Waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiters.Len()
}

// Connected is how many connections there are to an instance. They are steady if none is
// being made or closed: then each is accepted or in the accept queue. It costs less than
// Snapshot.
func (p *Pool) Connected(addr string) (n int, steady bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	in := p.find(addr)
	if in == nil {
		return 0, true
	}
	return in.used(), in.count[dialing]+in.count[closing] == 0
}
