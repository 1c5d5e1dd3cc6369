package session

import "time"

// KillTimeout is how long a killed process has to be gone. One that waits for a disk or a
// network file system may take longer.
const KillTimeout = 5 * time.Second

// Usage is what the processes of a session use.
type Usage struct {
	Processes int
	Threads   int
	CPU       float64 // seconds
	RSS       uint64  // bytes; shared memory counts for each process
	PSS       uint64  // bytes; shared memory is divided among the processes; 0: not known

	// OpenFiles are those of the process that is nearest to its limit.
	OpenFiles      int
	OpenFilesLimit uint64
}
