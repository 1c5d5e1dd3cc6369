//go:build linux

package loop

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// requestContext is the context of a request. It costs less than those of package context, of which
// each request would need two, and ends with the cause as its error.
type requestContext struct {
	conn *Conn

	mu    sync.Mutex
	err   error
	done  chan struct{} // made when it is asked for
	after map[*func()]struct{}
}

// Deadline implements context.Context.
func (c *requestContext) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (c *requestContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		}
	}
	return c.done
}

// Err implements context.Context.
func (c *requestContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Value implements context.Context.
func (c *requestContext) Value(key any) any {
	if key == http.LocalAddrContextKey {
		return c.conn.local
	}
	return nil
}

// AfterFunc is what package context looks for, so that nothing that waits for the end needs a
// goroutine.
func (c *requestContext) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		go f()
		return func() bool { return false }
	}
	if c.after == nil {
		c.after = make(map[*func()]struct{})
	}
	c.after[&f] = struct{}{}
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, there := c.after[&f]
		if delete(c.after, &f); len(c.after) == 0 {
			c.after = nil // a request that waits needs no room for others
		}
		return there
	}
}

// end ends the context.
func (c *requestContext) end(cause error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = cause
	if c.done != nil {
		close(c.done)
	}
	after := c.after
	c.after = nil
	c.mu.Unlock()
	for f := range after {
		go (*f)()
	}
}

var _ context.Context = (*requestContext)(nil)
