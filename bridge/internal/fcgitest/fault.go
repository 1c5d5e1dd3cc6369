package fcgitest

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// FaultKind is the kind of a Fault.
type FaultKind int

// The kinds of faults. Byte n is [Fault.At]: n bytes pass before it.
const (
	// Cut closes the connection in place of byte n: both sides read io.EOF. Bytes on their way
	// are lost. Over a socket, the application is reset if the lost bytes were its own.
	Cut FaultKind = iota + 1

	// Reset is Cut with unread bytes: one read of each side fails with ECONNRESET. Over a socket
	// this holds for the client only.
	Reset

	// Stall delays byte n and those after it by [Fault.For], forever if For is zero.
	Stall

	// Split passes the bytes before n, and the rest For later, never both in one read or write.
	Split

	// Corrupt inverts the bits of byte n that are set in [Fault.Mask].
	Corrupt
)

func (k FaultKind) String() string {
	if k < Cut || k > Corrupt {
		return fmt.Sprintf("fault %d", int(k))
	}
	return [...]string{Cut: "cut", Reset: "reset", Stall: "stall", Split: "split", Corrupt: "corrupt"}[k]
}

// FaultDirection is the direction in which bytes are counted.
type FaultDirection int

// The directions.
const (
	FromApp FaultDirection = iota // what the client reads
	ToApp                         // what the client writes
)

func (d FaultDirection) String() string {
	if d == ToApp {
		return "to the application"
	}
	return "from the application"
}

// Fault is one failure of a connection, as the client sees it. It wraps the client's end, and so takes
// effect at exactly one byte, in whatever pieces the bytes are read or written. If there is no such byte,
// nothing happens.
//
// A write with the byte passes the bytes before it. With Cut and Reset, it then fails with EPIPE, like a
// write that waits for room in the kernel; with Stall, it waits as with full buffers, until its
// deadline.
type Fault struct {
	Kind      FaultKind
	Direction FaultDirection
	At        int           // the byte, from 0
	For       time.Duration // of Stall and Split
	Mask      byte          // of Corrupt; 0 means all bits
}

func (f Fault) String() string {
	return fmt.Sprintf("%v %v at byte %d", f.Kind, f.Direction, f.At)
}

// Dial returns a dial function whose first connection has the fault.
func (f Fault) Dial(dial func(context.Context) (net.Conn, error)) func(context.Context) (net.Conn, error) {
	var struck atomic.Bool
	return func(ctx context.Context) (net.Conn, error) {
		c, err := dial(ctx)
		if err != nil || struck.Swap(true) {
			return c, err
		}
		return f.wrap(c), nil
	}
}

// DialEvery returns a dial function each of whose connections has the fault.
func (f Fault) DialEvery(dial func(context.Context) (net.Conn, error)) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		c, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		return f.wrap(c), nil
	}
}

func (f Fault) wrap(c net.Conn) net.Conn {
	if f.Mask == 0 {
		f.Mask = 0xff
	}
	return newFaultConn(c, f)
}
