package supervise

import (
	"errors"
	"time"
)

// Budget is how many processes may end without having served before no more are started: then
// something is wrong that more of them do not cure.
type Budget struct {
	// Spawns is how many processes may end within Per without having served. After that one is
	// started every Per, until one serves. Default 10.
	Spawns int
	// Per is the time in which Spawns counts. Default 10 minutes.
	Per time.Duration
	// Stop counts processes that have served, too, unless they exited with status 0. Without
	// it, an application that serves and crashes is started again and again, which is better
	// than nothing.
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

// budget counts exits.
type budget struct {
	max    int
	window time.Duration
	exits  []time.Time // exits within the window, the oldest first; at most max
}

// spend counts an exit, and reports whether the budget is spent.
func (b *budget) spend(now time.Time) bool {
	b.prune(now)
	if len(b.exits) == b.max {
		b.exits = append(b.exits[:0], b.exits[1:]...)
	}
	b.exits = append(b.exits, now)
	return len(b.exits) == b.max
}

// left is how many exits the budget has left.
func (b *budget) left(now time.Time) int {
	b.prune(now)
	return b.max - len(b.exits)
}

// prune forgets exits that do not count any more.
func (b *budget) prune(now time.Time) {
	old := max(len(b.exits)-b.max, 0) // max may be less than it was
	for old < len(b.exits) && now.Sub(b.exits[old]) >= b.window {
		old++
	}
	b.exits = append(b.exits[:0], b.exits[old:]...)
}

// reset forgets all exits.
func (b *budget) reset() { b.exits = b.exits[:0] }
