package spool

import (
	"sync"
	"time"
)

// paceWindow is the length of a window of measurement. A pace covers one to two windows.
const paceWindow = 5 * time.Second

// pace is the recent speed of the slow side of a body that holds disk.
type pace struct {
	mu       sync.Mutex // a leaf
	start    time.Time  // of the current window
	current  int64      // bytes in the current window
	previous int64      // bytes in the previous window; -1: there was none
}

// begin starts the measurement, when a body begins to hold disk.
func (p *pace) begin() {
	t := time.Now()
	p.mu.Lock()
	p.start, p.current, p.previous = t, 0, -1
	p.mu.Unlock()
}

// add records that n bytes were transferred.
func (p *pace) add(n int) {
	t := time.Now()
	p.mu.Lock()
	p.advance(t)
	p.current += int64(n)
	p.mu.Unlock()
}

// advance starts a new window if the current one has ended.
func (p *pace) advance(t time.Time) {
	switch since := t.Sub(p.start); {
	case since >= 2*paceWindow:
		p.start, p.current, p.previous = t, 0, 0
	case since >= paceWindow:
		p.start, p.current, p.previous = p.start.Add(paceWindow), 0, p.current
	}
}

// maxDuration bounds the result of time.
const maxDuration = 10 * 365 * 24 * time.Hour

// minRate is the least rate used in the calculation, in bytes per second.
const minRate = 1

// time returns how long the transfer of n bytes will take, at most paceWindow in the first window.
func (p *pace) time(n int64, t time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.advance(t)
	over, moved := t.Sub(p.start), p.current
	if p.previous >= 0 {
		over, moved = over+paceWindow, moved+p.previous
	}
	rate := max(float64(moved)/max(over, time.Second).Seconds(), minRate)
	d := time.Duration(min(float64(n)/rate, maxDuration.Seconds()) * float64(time.Second))
	if p.previous < 0 {
		d = min(d, paceWindow)
	}
	return d
}
