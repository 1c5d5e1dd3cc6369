package fcgitest

import (
	"context"
	"net"
	"os"
	"time"
)

// Unread counts the bytes that the peer of a connection in memory has not read, as the kernel does.
type Unread struct{ c *Conn }

// UnreadOf returns an Unread for the bytes written to c, a connection in memory.
func UnreadOf(c net.Conn) *Unread { return &Unread{c.(*Conn)} }

// Any reports whether there are unread bytes.
func (u *Unread) Any() (bool, error) {
	n, err := u.Bytes()
	return n > 0, err
}

// Bytes returns how many bytes are unread.
func (u *Unread) Bytes() (int, error) {
	l := u.c.link
	l.mu.Lock()
	defer l.mu.Unlock()
	return u.bytes()
}

func (u *Unread) bytes() (int, error) {
	if u.c.closed {
		return 0, opError("unread", net.ErrClosed)
	}
	return u.c.out.data.Len(), nil
}

// AwaitUntil is Await with a deadline.
func (u *Unread) AwaitUntil(t time.Time) error {
	ctx, cancel := context.WithDeadlineCause(context.Background(), t, os.ErrDeadlineExceeded)
	defer cancel()
	return u.Await(ctx)
}

// Await waits until no byte is unread, or ctx ends.
func (u *Unread) Await(ctx context.Context) error {
	l := u.c.link
	defer context.AfterFunc(ctx, l.wake)()
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		n, err := u.bytes()
		switch {
		case err != nil:
			return err
		case n == 0:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		l.changed.Wait()
	}
}
