package owners

import "fmt"

// Owner is a process that holds a listening socket.
type Owner struct {
	PID     int    `json:"pid"`
	Command string `json:"command"` // its name, cut to 15 bytes
	User    string `json:"user"`    // by name, or by number if there is no name
	// Threads is its number of threads, Arguments its command line, Dir its working directory.
	// They are empty if not known.
	Threads   int      `json:"threads,omitempty"`
	Arguments []string `json:"arguments,omitempty"`
	Dir       string   `json:"dir,omitempty"`
}

// HiddenError reports that the descriptors of some processes may not be read.
type HiddenError struct{ Processes int }

func (e *HiddenError) Error() string {
	return fmt.Sprintf("the descriptors of %d processes may not be looked at (ask as root or as the application's user)", e.Processes)
}

// Of returns the processes that hold the sockets with the given inodes, sorted by process id. It reads
// the descriptors of all processes, which is too slow for frequent use. With a [*HiddenError] the list
// may be incomplete. On systems other than Linux it returns an [errors.ErrUnsupported].
func Of(inodes []uint64) ([]Owner, error) { return find(inodes) }
