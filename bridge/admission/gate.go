package admission

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

var (
	// ErrQueueFull refuses a request that finds the line full.
	ErrQueueFull = errors.New("admission: the queue is full")
	// ErrQueueTimeout refuses a request that waited for Config.Timeout.
	ErrQueueTimeout = errors.New("admission: no worker became free in time")
	// ErrClosed refuses requests after Close.
	ErrClosed = errors.New("admission: closed")
)

// Config bounds a Gate.
type Config struct {
	Slots   int           // requests that may run at once; at least 1
	Size    int           // requests that may wait; at least 0
	Timeout time.Duration // how long one may wait; more than 0
}

// Gate admits requests. Its methods may be called at the same time.
type Gate struct {
	cfg Config

	mu     sync.Mutex
	closed bool
	inUse  int        // grants out; at most cfg.Slots
	line   *list.List // of *waiter, oldest first; empty unless inUse == cfg.Slots

	admitted, full, timedOut, left uint64
}

// waiter is a request in line. granted belongs to the gate's mutex until done is
// closed.
type waiter struct {
	done    chan struct{}
	granted bool
	err     error
}

// New returns a gate with all its slots free.
func New(cfg Config) (*Gate, error) {
	if cfg.Slots < 1 || cfg.Size < 0 || cfg.Timeout <= 0 {
		return nil, fmt.Errorf("admission: slots %d, size %d, timeout %v: want at least 1, at least 0, more than 0", cfg.Slots, cfg.Size, cfg.Timeout)
	}
	return &Gate{cfg: cfg, line: list.New()}, nil
}

// Grant is a slot in use.
type Grant struct {
	g    *Gate
	once sync.Once
}

// Acquire returns a slot as soon as one is free. It returns ErrQueueFull or
// ErrQueueTimeout if that is not soon enough, and ctx's cause if that ends
// first.
func (g *Gate) Acquire(ctx context.Context) (*Grant, error) {
	g.mu.Lock()
	switch {
	case g.closed:
		g.mu.Unlock()
		return nil, ErrClosed
	case ctx.Err() != nil:
		g.left++
		g.mu.Unlock()
		return nil, context.Cause(ctx)
	case g.inUse < g.cfg.Slots:
		g.inUse++
		g.admitted++
		g.mu.Unlock()
		return &Grant{g: g}, nil
	case g.line.Len() >= g.cfg.Size:
		g.full++
		g.mu.Unlock()
		return nil, ErrQueueFull
	}
	w := &waiter{done: make(chan struct{})}
	elem := g.line.PushBack(w)
	g.mu.Unlock()

	timer := time.NewTimer(g.cfg.Timeout)
	defer timer.Stop()
	select {
	case <-w.done:
	case <-timer.C:
		g.leave(elem, w, ErrQueueTimeout, &g.timedOut)
	case <-ctx.Done():
		g.leave(elem, w, context.Cause(ctx), &g.left)
	}
	if w.err != nil {
		return nil, w.err
	}
	grant := &Grant{g: g}
	if ctx.Err() != nil { // it left in the instant it was granted
		grant.Release()
		return nil, context.Cause(ctx)
	}
	return grant, nil
}

// leave takes a waiter out of the line unless it was settled meanwhile.
func (g *Gate) leave(elem *list.Element, w *waiter, err error, counter *uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.granted || w.err != nil {
		return
	}
	g.line.Remove(elem)
	w.err = err
	*counter++
}

// Release frees the slot. Calls after the first do nothing.
func (gr *Grant) Release() { gr.once.Do(gr.g.release) }

func (g *Gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.line.Front()
	if e == nil {
		g.inUse--
		return
	}
	w := g.line.Remove(e).(*waiter)
	w.granted = true
	g.admitted++
	close(w.done)
}

// Close refuses everyone in line and everyone who comes. Grants stay valid.
func (g *Gate) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for e := g.line.Front(); e != nil; e = g.line.Front() {
		w := g.line.Remove(e).(*waiter)
		w.err = ErrClosed
		close(w.done)
	}
}

// Snapshot is the state of a gate at one instant.
type Snapshot struct {
	Slots   int `json:"slots"`
	InUse   int `json:"in_use"`
	Waiting int `json:"waiting"`

	Admitted uint64 `json:"admitted"`
	Full     uint64 `json:"refused_full"`
	TimedOut uint64 `json:"refused_timeout"`
	Left     uint64 `json:"left"` // requests whose client left while they waited
}

// Snapshot returns the gate's state.
func (g *Gate) Snapshot() Snapshot {
	g.mu.Lock()
	defer g.mu.Unlock()
	return Snapshot{
		Slots: g.cfg.Slots, InUse: g.inUse, Waiting: g.line.Len(),
		Admitted: g.admitted, Full: g.full, TimedOut: g.timedOut, Left: g.left,
	}
}
