package supervise

// meters measures the memory of children, and has the kernel bound it where it can.
// All sizes are in bytes.
type meters interface {
	kind() string                         // "cgroup v2", "proc"; "none" if nothing is measured
	open(name string) (meter, error)      // for one child to be; its name is used once
	used() (uint64, error)                // by all children together
	limit(Memory) (renew bool, err error) // changes the limits; renew: that of an instance for new meters alone
	close() error                         // ends what is left in its meters, and removes them
}

// meter measures one child and its descendants. Its methods may be called at any time,
// from any goroutine.
type meter interface {
	enter(pid int) error   // counts a child from now on: a session's leader, before it runs anything
	used() (uint64, error) // see Memory
	killed() uint64        // how often the kernel has killed something because there was no memory; it may count one twice
	kill() error           // ends all there is, and waits for killTime at most
	path() string          // of the cgroup; "" if there is none
	close() error          // when all are dead; it may be tried again
}
