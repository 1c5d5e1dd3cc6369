package spool

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// victim returns whom to give up for h to have need bytes of disk; nil if nobody
// has to go for it. What that holds is h's as soon as it is given back.
func (s *Store) victim(h *holding, need int64) *holding {
	pressing := h.kind == answer && h.owner.Cutter != nil && h.owner.Cutter.Pressing()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shareOf(h)
	c := s.claimOf(h)
	s.want(c, 0)
	if c.doomed || s.fault.err != nil { // room is not what is lacking
		return nil
	}
	need = max(need, s.leastFile())
	now := time.Now()
	v := s.choose(h, need, pressing, now)
	if v == nil {
		return nil
	}
	s.want(c, need)
	v.claim.doomed = true
	s.sort(v)
	s.cuts.add(v, now, h.owner.Client)
	s.inUse.Cut++
	return v
}

// choose says who has to go. A request fails without room, so it may have half of
// the disk at the cost of answers, and beyond that takes from whoever holds at
// least twice as much. An answer can do without; it takes only what is known to be slow,
// from another client that holds more than is fair, and twice as much, or, if others
// wait for its worker, from its own client that does.
func (s *Store) choose(h *holding, need int64, pressing bool, now time.Time) *holding {
	own := h.share
	wants := own.disk + need
	if h.kind == answer {
		hog := s.largest(answer, own)
		switch {
		case hog != nil && hog.disk > s.disk.fair() && hog.disk >= 2*wants:
			return hog.slowest(h, 0, paceWindow, now)
		case pressing && own.disk > s.disk.fair():
			return own.slowest(h, 0, paceWindow, now)
		}
		return nil
	}
	if hog := s.largest(answer, nil); hog != nil && s.disk.by[request]+need <= s.disk.size/2 {
		if v := hog.slowest(h, 0, 0, now); v != nil {
			return v
		}
	}
	if hog := s.largest(request, own); hog != nil && hog.disk >= 2*wants {
		if v := hog.slowest(h, 0, 0, now); v != nil {
			return v
		}
	}
	return own.slowest(h, 2*(h.claim.bytes+need), 0, now)
}

// largest returns the share of that kind, but not, that holds most disk and has
// something that can be given up; nil if there is none.
func (s *Store) largest(k kind, not *share) *share {
	var most *share
	for _, sh := range s.shares {
		if sh.kind == k && sh != not && len(sh.cuttable) > 0 && (most == nil || sh.disk > most.disk) {
			most = sh
		}
	}
	return most
}

// slowest returns, of those that hold at least so much disk, but not, the one that
// would keep it for longest, if that is longer than over. One that has others given up just
// now is spared: it would wait for them while others wait for it.
func (sh *share) slowest(not *holding, least int64, over time.Duration, now time.Time) *holding {
	var slowest *holding
	longest := over
	for h := range sh.cuttable {
		c := h.claim
		if h == not || c.bytes < least || c.wanted > 0 {
			continue
		}
		if t := c.pace.time(c.bytes, now); t > longest || t == longest && slowest != nil && c.bytes > slowest.claim.bytes {
			slowest, longest = h, t
		}
	}
	return slowest
}

// makeRoom gives up another body for h to have need bytes of disk, unless the file
// system turns out to have more room. It reports whether trying again is worth it. It is
// called with mu held and releases it meanwhile.
func (h *holding) makeRoom(need int64) bool {
	if h.store.stale() {
		more := false
		h.meanwhile(func() { more = h.store.measure() })
		if more || h.closed {
			return more
		}
	}
	v := h.store.victim(h, need)
	if v == nil {
		return false
	}
	h.meanwhile(func() {
		v.giveUp()
		h.store.reportCuts()
	})
	return true
}

// meanwhile calls f without mu, which is held before and after. Close waits for it.
func (h *holding) meanwhile(f func()) {
	h.io++
	h.mu.Unlock()
	f()
	h.mu.Lock()
	h.end()
}

// waive gives up a claim to room that was made for h and not needed. It is called with
// mu held.
func (h *holding) waive() {
	if h.claim == nil || h.claim.wanted == 0 { // which only h itself changes
		return
	}
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	h.store.want(h.claim, 0)
	h.store.wake()
}

// giveUp closes h because others need what it holds. It waits until that is given
// back.
func (h *holding) giveUp() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed { // its owner has come first
		h.awaitFreed()
		return
	}
	h.cut = true
	h.io++ // Close waits for Cut
	h.closed = true
	h.mu.Unlock()
	h.owner.Cutter.Cut()
	h.mu.Lock()
	h.end()
	_ = h.free() // the file has no name; there is nobody to be told
}

// cutLog is what was given up and not reported yet.
type cutLog struct {
	last    time.Time   // when there was a report
	largest []slog.Attr // of the largest: who, and how much
	held    int64       // by that
	kind    kind
	more    int // given up besides
}

// cutPause is how long the log is not told of more.
const cutPause = time.Second

// add notes that v is given up in favour of a client.
func (l *cutLog) add(v *holding, now time.Time, favour Client) {
	if l.held > 0 {
		l.more++
	}
	c := v.claim
	if c.bytes <= l.held {
		return
	}
	l.kind, l.held = v.kind, c.bytes
	l.largest = []slog.Attr{
		slog.String("client", v.owner.Client.String()),
		slog.Int64("held", c.bytes), slog.Int64("held_by_client", v.share.disk),
		slog.Duration("would_hold_for", c.pace.time(c.bytes, now).Round(time.Second)),
		slog.String("in_favour_of", favour.String()),
	}
}

// reportCuts tells the log what was given up, unless it was told just now.
func (s *Store) reportCuts() {
	now := time.Now()
	s.mu.Lock()
	l := s.cuts
	if l.held == 0 || now.Sub(l.last) < cutPause {
		s.mu.Unlock()
		return
	}
	s.cuts = cutLog{last: now}
	s.mu.Unlock()
	s.config.Logger.LogAttrs(context.Background(), slog.LevelWarn,
		fmt.Sprintf("there is no room for bodies any more, and others need some: the slowest %s of its client was cut", l.kind),
		append(l.largest, slog.Int("more_cut", l.more))...)
}
