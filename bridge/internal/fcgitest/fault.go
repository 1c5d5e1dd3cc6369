package fcgitest

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// FaultKind is what goes wrong.
type FaultKind int

// The kinds of faults. Byte n is [Fault.At]: n bytes pass before it.
const (
	// Cut closes the connection when byte n comes, instead of passing it: both
	// sides read io.EOF. What is on its way is lost, and over a socket the
	// application is reset if that was its.
	Cut FaultKind = iota + 1

	// Reset does the same with bytes unread: both sides' reads fail with
	// ECONNRESET first. Over a socket that holds for the client alone.
	Reset

	// Stall passes byte n, and what follows it, [Fault.For] after it came; never
	// if For is zero.
	Stall

	// Split passes the bytes before n, and For later the others, never both in one
	// read or write.
	Split

	// Corrupt flips the bits of byte n that are set in [Fault.Mask].
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

// Fault is one thing that goes wrong with a connection, as a client sees it. It
// is a wrapper around the client's end, so it strikes at exactly one byte, in
// whatever pieces that is read or written; if the byte never comes, nothing
// happens.
//
// A write that meets a fault passes what comes before it. Cut and Reset then fail
// it with EPIPE, as the kernel does to a writer who waits for room; Stall has it
// wait, as it would with full buffers, and deadlines end that.
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
