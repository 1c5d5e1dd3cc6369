package spool

import (
	"sync"
	"time"
)

// paceWindow is how far back a pace looks, and up to twice as far.
const paceWindow = 5 * time.Second

// pace is how fast the slow side of a body that holds disk has been lately.
type pace struct {
	mu    sync.Mutex // a leaf
	start time.Time  // of the current window
	now   int64      // bytes in it
	past  int64      // bytes in the one before; -1: there was none
}

// begin forgets what was: there is something on disk from now on.
func (p *pace) begin() {
	t := time.Now()
	p.mu.Lock()
	p.start, p.now, p.past = t, 0, -1
	p.mu.Unlock()
}

// add notes that n bytes have moved.
func (p *pace) add(n int) {
	t := time.Now()
	p.mu.Lock()
	p.turn(t)
	p.now += int64(n)
	p.mu.Unlock()
}

// turn begins a new window if it is time.
func (p *pace) turn(t time.Time) {
	switch since := t.Sub(p.start); {
	case since >= 2*paceWindow:
		p.start, p.now, p.past = t, 0, 0
	case since >= paceWindow:
		p.start, p.now, p.past = p.start.Add(paceWindow), 0, p.now
	}
}

// forever is more than anybody waits.
const forever = 10 * 365 * 24 * time.Hour

// slowest is the least rate that a pace takes for one, in bytes a second.
const slowest = 1

// time returns how long n bytes will take. While that is not known yet they are
// thought to be gone within a window.
func (p *pace) time(n int64, t time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn(t)
	over, moved := t.Sub(p.start), p.now
	if p.past >= 0 {
		over, moved = over+paceWindow, moved+p.past
	}
	rate := max(float64(moved)/max(over, time.Second).Seconds(), slowest)
	d := time.Duration(min(float64(n)/rate, forever.Seconds()) * float64(time.Second))
	if p.past < 0 {
		d = min(d, paceWindow)
	}
	return d
}
