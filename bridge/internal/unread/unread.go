package unread

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// ErrNotHere reports that the other side is not a socket that can be seen from here.
var ErrNotHere = errors.New("the other side of the connection cannot be seen from here (it may be on another machine or in a container)")

// Conn is a connection that is asked about. It may be asked from one goroutine at a time,
// whatever else is done with the connection meanwhile, unless a method says otherwise.
type Conn struct{ asker }

type asker interface {
	any() (bool, error)
	bytes() (int, error)
	await(context.Context) error
	awaitUntil(time.Time) error
}

// Of returns a Conn for c, nil if c is neither a unix socket nor TCP.
func Of(c net.Conn) *Conn {
	if a := of(c); a != nil {
		return &Conn{a}
	}
	return nil
}

// Any reports whether the other side has bytes to read that were written to c.
func (c *Conn) Any() (bool, error) {
	some, err := c.any()
	if err != nil {
		return false, fmt.Errorf("unread: %w", err)
	}
	return some, nil
}

// Await waits until the other side has read all that was written, or closed. It returns
// ctx's cause if that ends first. Nobody may write meanwhile; the write deadline is lifted.
func (c *Conn) Await(ctx context.Context) error {
	if err := c.await(ctx); err != nil {
		return fmt.Errorf("unread: %w", err)
	}
	return nil
}

// AwaitUntil is Await, for a moment. When that has passed, it returns
// os.ErrDeadlineExceeded.
func (c *Conn) AwaitUntil(t time.Time) error {
	if err := c.awaitUntil(t); err != nil {
		return fmt.Errorf("unread: %w", err)
	}
	return nil
}

// Bytes returns how many bytes those are.
func (c *Conn) Bytes() (int, error) {
	n, err := c.bytes()
	if err != nil {
		return 0, fmt.Errorf("unread: %w", err)
	}
	return n, nil
}
