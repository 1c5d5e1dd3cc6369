package fleet

import (
	"context"
	"fmt"
	"time"
)

// Terms are what all gates of a fleet agree on.
type Terms struct {
	Workers int // of each instance of the application
	Gates   int // how many there may be; at most Workers

	// Term is how long a gate may use its lease after the last renewal. Settle is how long its
	// requests may take to end after that. Forget is how long a gate that is not heard of has its
	// share reserved.
	Term, Settle, Forget time.Duration
}

// Share is what each gate may use without a lease.
func (t Terms) Share() int { return t.Workers / t.Gates }

// quiet is how long after the end of its lease a gate that had less than its share may have others in
// it: until the ledger notices that the gate is silent, tells the others, and their requests are over.
func (t Terms) quiet() time.Duration { return termMargin + renewEvery + t.Settle }

// check returns what is wrong.
func (t Terms) check() error {
	switch {
	case t.Gates < 1:
		return fmt.Errorf("fleet: gates is %d, want at least 1", t.Gates)
	case t.Gates > t.Workers:
		return fmt.Errorf("fleet: there may be %d gates, and the application has %d workers: each gate needs one", t.Gates, t.Workers)
	case t.Term <= 0 || t.Settle < 0 || t.Forget < 0:
		return fmt.Errorf("fleet: term %v, settle %v, forget %v: want more than 0, at least 0", t.Term, t.Settle, t.Forget)
	}
	return nil
}

// Usage is what a gate needs at a moment.
type Usage struct {
	Connections int // that there are, to the instance with the most
	Short       int // short requests that run or wait
	Wanted      int // all requests that run or wait
}

// Mode says what a gate is about to do.
type Mode string

// The modes.
const (
	Join  Mode = "join"  // it serves
	Drain Mode = "drain" // it finishes what it has
	Leave Mode = "leave" // it is gone
)

// Report is what a gate tells the ledger.
type Report struct {
	Gate   string // its process; no two have the same
	Name   string // the gate, whatever process it is; one process at a time
	Seq    uint64 // grows from report to report
	Mode   Mode
	Holds  int // connections that it may make, or that there are
	Short  int
	Wanted int

	Clients *ClientReport // nil: nothing is said of clients
}

// Status is what the ledger made of a report.
type Status string

// The statuses.
const (
	Granted Status = "ok"
	Young   Status = "young"   // nothing more is granted yet: the ledger does not know what others hold
	Crowded Status = "crowded" // there are as many gates as there may be
	Drained Status = "drains"
	Left    Status = "left"
	Late    Status = "late" // a later report was there already
)

var statuses = []Status{Granted, Young, Crowded, Drained, Left, Late}

// Grant is the ledger's answer.
type Grant struct {
	Status Status
	// Granted is what the gate may hold. Keep is what it is asked to hold: others need the rest.
	Granted, Keep int
	Gates         int  // that are there
	Others        int  // what they hold
	Differ        bool // others were told other numbers of workers or gates
	Forgets       bool // the ledger cannot tell whether it has been started anew

	Clients *ClientGrant // nil: nothing was said of clients
}

// Ledger keeps leases. Renew is called by one goroutine at a time.
type Ledger interface {
	Renew(ctx context.Context, t Terms, r Report) (Grant, error)
	Close() error
}
