package memlimit

import "errors"

// Limits bound memory, in bytes; 0 is no limit. What counts is memory that the kernel cannot
// take back at once: in a cgroup all but the pages of files that were not used lately, in
// /proc the sum of the proportional set sizes.
type Limits struct {
	Soft  uint64 // of a child; it is measured, and nothing is done about it here
	Hard  uint64 // of a child
	Total uint64 // of all children
}

// ErrTotalStays is why SetLimits fails if there was a Total and would be none.
var ErrTotalStays = errors.New("taking the total away")

// Controller measures the memory of children, and has the kernel limit it where it can. Its
// methods may be called by several goroutines at once, but for SetLimits and Open.
type Controller interface {
	// Kind is what memory is measured by: "cgroup v2", "proc", or "none".
	Kind() string
	// Open returns a Meter for a child to be. No two have the same name.
	Open(name string) (Meter, error)
	// Used is what all children use together.
	Used() (uint64, error)
	// SetLimits changes the limits. If newOnly is true, that of a child holds only for Meters
	// that are opened afterwards.
	SetLimits(Limits) (newOnly bool, err error)
	// Close kills the processes that are left in its Meters, and removes what it has made.
	Close() error
}

// Meter measures one child and its descendants. Its methods may be called by several
// goroutines at once.
type Meter interface {
	// Enter counts a child from now on: the leader of a session, before it runs anything.
	Enter(pid int) error
	// Used is what the child and its descendants use.
	Used() (uint64, error)
	// OOMKills is how often the kernel has killed one of these processes because there was no
	// memory. It may count a process twice.
	OOMKills() uint64
	// Kill kills these processes, and waits for their ends.
	Kill() error
	// Close is called when all of them have ended. It may be tried again.
	Close() error
}

// NoMeter is a Meter that measures nothing.
type NoMeter struct{}

// Enter implements Meter.
func (NoMeter) Enter(int) error { return nil }

// Used implements Meter.
func (NoMeter) Used() (uint64, error) { return 0, nil }

// OOMKills implements Meter.
func (NoMeter) OOMKills() uint64 { return 0 }

// Kill implements Meter.
func (NoMeter) Kill() error { return nil }

// Close implements Meter.
func (NoMeter) Close() error { return nil }
