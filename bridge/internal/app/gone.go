package app

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Notices tell the application of held clients that are gone, where it has asked for that. Thousands may
// leave at once, when a network breaks: a few are told of at a time, and no more wait than clients may be
// held. Each is told of once at most, and not again if that fails.
type Notices struct {
	logger *slog.Logger

	mu      sync.Mutex
	limits  NoticeLimits
	waiting []Notice // the first in front
	active  int
	closed  bool
	counts  NoticeCounts
	unsaid  uint64    // of those dropped, the log does not know of
	saidAt  time.Time // when it was told
	refused bool      // the log knows that the application refuses
}

// NoticeLimits bound the Notices of an application.
type NoticeLimits struct {
	Active  int // at once
	Waiting int
}

// NoticeCounts are what has become of Notices.
type NoticeCounts struct {
	Told    uint64 // the application has taken it
	Failed  uint64 // it could not be reached, or has refused
	Dropped uint64 // not sent, as too many waited, or ended, as the site has closed
	Active  int    // under way now
	Waiting int
}

// Notice is what the application is told.
type Notice struct {
	Of   any             // the site
	Ctx  context.Context // ends when it need not be sent any more
	Path string          // for the log
	// Send sends it, and returns the status of the answer.
	Send func() (status int, err error)
	// Done is called in the end, whatever has become of it.
	Done func()
}

// sayEvery is how often the log is told of notices that were dropped.
const sayEvery = time.Minute

// Add has a notice sent in its turn.
func (n *Notices) Add(one Notice) {
	n.mu.Lock()
	switch {
	case n.closed || one.Ctx.Err() != nil || len(n.waiting) >= n.limits.Waiting:
		n.drop(1)
		n.mu.Unlock()
		one.Done()
		return
	case n.active < n.limits.Active:
		n.active++
		go n.work(one)
	default:
		n.waiting = append(n.waiting, one)
	}
	n.mu.Unlock()
}

// work sends a notice, and those that wait then.
func (n *Notices) work(one Notice) {
	for ok := true; ok; one, ok = n.next() {
		status, err := one.Send()
		n.sent(&one, status, err)
		one.Done()
	}
}

func (n *Notices) sent(one *Notice, status int, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case one.Ctx.Err() != nil && err != nil: // the site has ended it
		n.drop(1)
	case err == nil && status < 400:
		n.counts.Told++
	default:
		n.counts.Failed++
		if !n.refused {
			n.refused = true
			why := ""
			if err != nil {
				why = err.Error()
			}
			n.logger.Warn("the application does not take it that a held client is gone; this is logged once", "path", one.Path, "status", status, "error", why,
				"advice", "see that a POST without a body is allowed at the target of Grip-Link with rel=gone: it must be a path of this site, and need no token of a form")
		}
	}
}

// next returns the notice whose turn it is. ok is false if there is none, or there are enough at work.
func (n *Notices) next() (one Notice, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) == 0 || n.active > n.limits.Active {
		n.active--
		return one, false
	}
	one = n.waiting[0]
	n.waiting[0] = Notice{}
	if n.waiting = n.waiting[1:]; len(n.waiting) == 0 {
		n.waiting = nil
	}
	return one, true
}

// drop counts notices that are not sent. The caller holds the mutex.
func (n *Notices) drop(k int) {
	n.counts.Dropped += uint64(k)
	n.unsaid += uint64(k)
	if time.Since(n.saidAt) >= sayEvery {
		n.say()
	}
}

func (n *Notices) say() {
	if n.unsaid == 0 {
		return
	}
	n.logger.Warn("the application is not told that held clients are gone: too many have left at once, or the site ends", "clients", n.unsaid,
		"advice", "let the application take clients that were not seen for long for gone as well; raise hold.recover if it has time for more requests at once")
	n.unsaid, n.saidAt = 0, time.Now()
}

// Leave drops what waits of a site, whose Ctx has ended.
func (n *Notices) Leave(site any) {
	n.mu.Lock()
	var kept, dropped []Notice
	for _, one := range n.waiting {
		if one.Of == site {
			dropped = append(dropped, one)
		} else {
			kept = append(kept, one)
		}
	}
	n.waiting = kept
	if len(dropped) > 0 {
		n.drop(len(dropped))
	}
	n.mu.Unlock()
	for _, one := range dropped {
		one.Done()
	}
}

// configure has other limits hold from now on. What waits stays.
func (n *Notices) configure(l NoticeLimits) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.limits = l
	for n.active < l.Active && len(n.waiting) > 0 {
		one := n.waiting[0]
		n.waiting = n.waiting[1:]
		n.active++
		go n.work(one)
	}
}

// Counts returns the present state.
func (n *Notices) Counts() NoticeCounts {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.counts
	c.Active, c.Waiting = n.active, len(n.waiting)
	return c
}

// close drops what waits, and what comes.
func (n *Notices) close() {
	n.mu.Lock()
	n.closed = true
	dropped := n.waiting
	n.waiting = nil
	if len(dropped) > 0 {
		n.drop(len(dropped))
	}
	n.say()
	n.mu.Unlock()
	for _, one := range dropped {
		one.Done()
	}
}
