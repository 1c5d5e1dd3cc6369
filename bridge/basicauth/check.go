package basicauth

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	maxWaiting    = 128 // requests that wait for a password to be checked
	maxPerAddress = 64  // of these, and of those being checked, of one client address
	patience      = 5 * time.Second
)

// errBusy is a password that was not checked, because so many others are.
var errBusy = errors.New("too many passwords are being checked")

// checks bounds how many passwords are checked at once: each may take a processor for a
// tenth of a second, and anybody can send some. Client addresses take turns.
type checks struct {
	slots chan struct{} // has one for each that is being checked

	mu      sync.Mutex
	waiting int
	by      map[string]*line // by client address
	under   map[digest]*checking
}

// line is of the passwords of one client address.
type line struct {
	turn  chan struct{} // has one if one of them is being checked, or waits for a slot
	count int           // of all; checks.mu
}

// checking is one password being checked, for all requests that have it.
type checking struct {
	done  chan struct{} // closed when right and err are set
	right bool
	err   error
}

func newChecks(atOnce int) *checks {
	return &checks{slots: make(chan struct{}, atOnce), by: make(map[string]*line), under: make(map[digest]*checking)}
}

// do returns what check does, for the first of those that ask for d at a time. If that one
// leaves before its turn, another takes its place.
func (c *checks) do(ctx context.Context, d digest, address string, check func() bool) (right bool, err error) {
	for {
		c.mu.Lock()
		of, found := c.under[d]
		if !found {
			in := c.by[address]
			if c.waiting >= maxWaiting || in != nil && in.count >= maxPerAddress {
				c.mu.Unlock()
				return false, errBusy
			}
			if in == nil {
				in = &line{turn: make(chan struct{}, 1)}
				c.by[address] = in
			}
			of = &checking{done: make(chan struct{})}
			c.under[d] = of
			c.waiting++
			in.count++
			c.mu.Unlock()
			c.lead(ctx, of, in, check)
			c.mu.Lock()
			delete(c.under, d)
			if in.count--; in.count == 0 {
				delete(c.by, address)
			}
			c.mu.Unlock()
			close(of.done)
			return of.right, of.err
		}
		c.mu.Unlock()
		select {
		case <-of.done:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
		if of.err == nil || errors.Is(of.err, errBusy) {
			return of.right, of.err
		}
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
	}
}

// lead checks a password when it is its turn.
func (c *checks) lead(ctx context.Context, of *checking, in *line, check func() bool) {
	late := time.NewTimer(patience)
	defer late.Stop()
	of.err = enter(ctx, in.turn, late)
	if of.err == nil {
		defer func() { <-in.turn }()
		of.err = enter(ctx, c.slots, late)
	}
	c.mu.Lock()
	c.waiting--
	c.mu.Unlock()
	if of.err == nil {
		defer func() { <-c.slots }()
		of.right = check()
	}
}

// enter waits for room in a channel.
func enter(ctx context.Context, room chan struct{}, late *time.Timer) error {
	select {
	case room <- struct{}{}:
		return nil
	case <-late.C:
		return errBusy
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
