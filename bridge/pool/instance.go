package pool

import (
	"context"
	"net"
	"time"
)

// Instance is one address of the backend.
type Instance struct {
	Addr string // as configured; for errors, logs and the snapshot
	Dial func(ctx context.Context) (net.Conn, error)
}

// setAside is how long an instance that could not be connected to is only tried
// when no other one is left.
const setAside = time.Second

// instance is an Instance and what the pool knows of it. Everything below Addr
// and Dial belongs to the pool's mutex.
type instance struct {
	Instance

	// count[s] is how many connections are in state s. Invariant: the counts of
	// dialing, busy, idle and closing add up to at most Config.Workers.
	count [connStates]int
	idle  []*conn // most recently used last; len(idle) == count[idle]

	retires    bool // it closes kept connections of its own accord
	zombies    int  // busy connections on which nobody waits for the answer
	asideUntil time.Time
	lastOK     time.Time // when a connection was last made or used to an end
	lastErr    error
	lastErrAt  time.Time
	dials      uint64
	dialErrors uint64
	backlogs   uint64 // dials that found the backlog full
	reuses     uint64
	stale      uint64 // kept connections found dead or dirty before reuse
	discards   uint64 // connections closed because their exchange did not end cleanly
}

func (in *instance) used() int {
	return in.count[dialing] + in.count[busy] + in.count[idle] + in.count[closing]
}

// working is what the instance's load is measured by: everything but idle
// connections, which are there to be used.
func (in *instance) working() int { return in.used() - in.count[idle] }
