package acceptqueue

import (
	"errors"
	"fmt"
)

// Queue is the accept queue of a listening socket.
type Queue struct {
	// Depth is how many connections wait to be accepted.
	Depth int `json:"depth"`
	// Backlog is the argument of listen(2), up to the system's limit. The kernel lets one
	// connection more wait.
	Backlog int `json:"backlog"`
	// Inodes are the inodes of the sockets. Several sockets may share a TCP port
	// (SO_REUSEPORT); Depth and Backlog are then sums.
	Inodes []uint64 `json:"inodes"`
}

// add adds the queue of another socket.
func (q *Queue) add(o Queue) {
	q.Depth += o.Depth
	q.Backlog += o.Backlog
	q.Inodes = append(q.Inodes, o.Inodes...)
}

// ErrNotHere reports that no socket of this network namespace listens at an
// address.
var ErrNotHere = errors.New("nothing that can be seen from here listens there (it may be on another machine or in a container)")

// ErrUnsupported reports a system that does not disclose its accept queues. It is an
// [errors.ErrUnsupported].
var ErrUnsupported = fmt.Errorf("accept queues are not known on this system: %w", errors.ErrUnsupported)

// Of returns the accept queue at an address for net.Dial: network is "unix" with the path of a
// socket, or "tcp" with host:port. A host name is looked up first, which may take time. The error is
// [ErrNotHere], [ErrUnsupported], or the system's.
func Of(network, addr string) (Queue, error) {
	q, err := of(network, addr)
	if err != nil {
		return Queue{}, fmt.Errorf("accept queue of %s: %w", addr, err)
	}
	return q, nil
}
