package acceptqueue

import (
	"errors"
	"fmt"
)

// Queue is the accept queue of a listening socket.
type Queue struct {
	// Depth is how many connections wait to be accepted.
	Depth int `json:"depth"`
	// Backlog is the argument of listen(2), as far as the system allows it. The
	// kernel lets one connection more than that wait.
	Backlog int `json:"backlog"`
	// Inodes are those of the sockets. There are several if they share a TCP
	// port (SO_REUSEPORT); then Depth and Backlog are sums.
	Inodes []uint64 `json:"inodes"`
}

// add makes q stand for another socket as well.
func (q *Queue) add(o Queue) {
	q.Depth += o.Depth
	q.Backlog += o.Backlog
	q.Inodes = append(q.Inodes, o.Inodes...)
}

// ErrNotHere reports that no socket of this network namespace listens at an
// address.
var ErrNotHere = errors.New("nothing that can be seen from here listens there (it may be on another machine or in a container)")

// ErrUnsupported reports a system that does not say how long its accept queues
// are. It is an [errors.ErrUnsupported].
var ErrUnsupported = fmt.Errorf("accept queues are not known on this system: %w", errors.ErrUnsupported)

// Of returns the accept queue at an address as net.Dial takes it: network is
// "unix" with the path of a socket, or "tcp" with host:port. A host's name is
// looked up first, which takes the time that takes. An error is [ErrNotHere],
// [ErrUnsupported], or says what the system refused.
func Of(network, addr string) (Queue, error) {
	q, err := of(network, addr)
	if err != nil {
		return Queue{}, fmt.Errorf("accept queue of %s: %w", addr, err)
	}
	return q, nil
}
