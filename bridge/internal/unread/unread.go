package unread

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// ErrNotHere reports that the peer is not a socket of this network namespace.
var ErrNotHere = errors.New("the other side of the connection cannot be seen from here (it may be on another machine or in a container)")

// Conn asks about a connection, for one goroutine at a time. Unless a method says otherwise, other
// goroutines may use the connection meanwhile.
type Conn struct{ counter }

type counter interface {
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

// Any reports whether the peer has not read all bytes written to c.
func (c *Conn) Any() (bool, error) {
	some, err := c.any()
	if err != nil {
		return false, fmt.Errorf("unread: %w", err)
	}
	return some, nil
}

// Await waits until the peer has read everything, or has closed. It returns ctx's cause if ctx ends
// first. No goroutine may write meanwhile. Await removes the write deadline.
func (c *Conn) Await(ctx context.Context) error {
	if err := c.await(ctx); err != nil {
		return fmt.Errorf("unread: %w", err)
	}
	return nil
}

// AwaitUntil is Await until t. Then it returns os.ErrDeadlineExceeded.
func (c *Conn) AwaitUntil(t time.Time) error {
	if err := c.awaitUntil(t); err != nil {
		return fmt.Errorf("unread: %w", err)
	}
	return nil
}

// Bytes returns how many bytes written to c the peer has not read.
func (c *Conn) Bytes() (int, error) {
	n, err := c.bytes()
	if err != nil {
		return 0, fmt.Errorf("unread: %w", err)
	}
	return n, nil
}
