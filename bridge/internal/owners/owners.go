package owners

import "fmt"

// Owner is a process that holds a listening socket.
type Owner struct {
	PID     int    `json:"pid"`
	Command string `json:"command"` // its name, at most 15 bytes of it
	User    string `json:"user"`    // or the number, if that has no name
	// Threads is how many it has, and Arguments what it was started with, in Dir; empty if
	// that is not known.
	Threads   int      `json:"threads,omitempty"`
	Arguments []string `json:"arguments,omitempty"`
	Dir       string   `json:"dir,omitempty"`
}

// HiddenError reports that some processes may not be looked into.
type HiddenError struct{ Processes int }

func (e *HiddenError) Error() string {
	return fmt.Sprintf("the descriptors of %d processes may not be looked at (ask as root or as the application's user)", e.Processes)
}

// Of returns the processes that hold the sockets with the given inodes, by their
// ids. It reads the descriptors of every process, so it is for people who ask, not
// for a page that is read each second. With a [*HiddenError] the list may lack some.
// Elsewhere than on Linux it is an [errors.ErrUnsupported].
func Of(inodes []uint64) ([]Owner, error) { return find(inodes) }
