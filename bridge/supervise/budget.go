package supervise

import (
	"errors"
	"time"
)

// Budget is how many children may die before something is wrong that starting more of
// them does not cure.
type Budget struct {
	// Spawns is how many may die within Per without having served. Then none is started
	// but one every Per, until one serves. Default 10.
	Spawns int
	// Per is that time. Default 10 minutes.
	Per time.Duration
	// Stop counts those that have served, too, unless their exit was clean (status 0).
	// Without it, an application that serves and
	// dies again and again is started again and again, which is better than nothing.
	Stop bool
}

func (b *Budget) normalize() error {
	if b.Spawns < 0 || b.Per < 0 {
		return errors.New("spawn budget: must not be negative")
	}
	if b.Spawns == 0 {
		b.Spawns = 10
	}
	if b.Per == 0 {
		b.Per = 10 * time.Minute
	}
	return nil
}

// budget counts deaths.
type budget struct {
	max    int
	window time.Duration
	exits  []time.Time // those within the window, the oldest first; at most most
}

// spend counts a death, and reports whether the budget is spent.
func (b *budget) spend(now time.Time) bool {
	b.prune(now)
	if len(b.exits) == b.max {
		b.exits = append(b.exits[:0], b.exits[1:]...)
	}
	b.exits = append(b.exits, now)
	return len(b.exits) == b.max
}

// left is how many may die yet.
func (b *budget) left(now time.Time) int {
	b.prune(now)
	return b.max - len(b.exits)
}

func (b *budget) prune(now time.Time) {
	old := 0
	for old < len(b.exits) && now.Sub(b.exits[old]) >= b.window {
		old++
	}
	b.exits = append(b.exits[:0], b.exits[old:]...)
}

// restore makes it whole.
func (b *budget) reset() { b.exits = b.exits[:0] }
