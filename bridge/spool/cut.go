package spool

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// toCut returns the body to cut so that h gets need bytes of disk, nil if there is none. The room of that
// body is reserved for h.
func (s *Store) toCut(h *holding, need int64) *holding {
	pressing := h.kind == answer && h.owner.Cutter != nil && h.owner.Cutter.Pressing()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shareOf(h)
	c := s.claimOf(h)
	s.setWanted(c, 0)
	if c.beingCut || s.fault.err != nil { // more room would not help
		return nil
	}
	need = max(need, s.minFile())
	now := time.Now()
	v := s.chooseCut(h, need, pressing, now)
	if v == nil {
		return nil
	}
	s.setWanted(c, need)
	v.claim.beingCut = true
	s.updateCuttable(v)
	s.cuts.add(v, now, h.owner.Client)
	s.inUse.Cut++
	return v
}

// chooseCut chooses the body to cut for h. A request fails without room. Requests may therefore use half
// of the disk at the expense of answers, and beyond that the room of a client that holds at least twice as
// much. An answer can wait. It gets only the room of slow answers: of another client that holds more than
// its fair share and twice as much, or, if requests wait for the worker, of its own client if that exceeds
// its fair share.
func (s *Store) chooseCut(h *holding, need int64, pressing bool, now time.Time) *holding {
	own := h.share
	wants := own.disk + need
	if h.kind == answer {
		top := s.largest(answer, own)
		switch {
		case top != nil && top.disk > s.disk.fairShare() && top.disk >= 2*wants:
			return top.slowest(h, 0, paceWindow, now)
		case pressing && own.disk > s.disk.fairShare():
			return own.slowest(h, 0, paceWindow, now)
		}
		return nil
	}
	if top := s.largest(answer, nil); top != nil && s.disk.by[request]+need <= s.disk.size/2 {
		if v := top.slowest(h, 0, 0, now); v != nil {
			return v
		}
	}
	if top := s.largest(request, own); top != nil && top.disk >= 2*wants {
		if v := top.slowest(h, 0, 0, now); v != nil {
			return v
		}
	}
	return own.slowest(h, 2*(h.claim.bytes+need), 0, now)
}

// largest returns the share of kind k, other than except, that holds most disk and has a body that can be
// cut; nil if there is none.
func (s *Store) largest(k kind, except *share) *share {
	var most *share
	for _, sh := range s.shares {
		if sh.kind == k && sh != except && len(sh.cuttable) > 0 && (most == nil || sh.disk > most.disk) {
			most = sh
		}
	}
	return most
}

// slowest returns the body, other than except, that would keep its disk for longest, if it holds at least
// least bytes and would keep them for longer than over. A body for which another one is being cut is left
// out: bodies would wait for each other.
func (sh *share) slowest(except *holding, least int64, over time.Duration, now time.Time) *holding {
	var slowest *holding
	longest := over
	for h := range sh.cuttable {
		c := h.claim
		if h == except || c.bytes < least || c.wanted > 0 {
			continue
		}
		if t := c.pace.time(c.bytes, now); t > longest || t == longest && slowest != nil && c.bytes > slowest.claim.bytes {
			slowest, longest = h, t
		}
	}
	return slowest
}

// makeRoom cuts another body so that h gets need bytes of disk, unless the file system has more room than
// before. It reports whether another try may succeed. mu is held, and released meanwhile.
func (h *holding) makeRoom(need int64) bool {
	if h.store.measureDue() {
		more := false
		h.unlocked(func() { more = h.store.measure() })
		if more || h.closed {
			return more
		}
	}
	v := h.store.toCut(h, need)
	if v == nil {
		return false
	}
	h.unlocked(func() {
		v.cutNow()
		h.store.reportCuts()
	})
	return true
}

// unlocked calls f without mu, which is held before and after. Close waits for f.
func (h *holding) unlocked(f func()) {
	h.io++
	h.mu.Unlock()
	f()
	h.mu.Lock()
	h.ioDone()
}

// dropWanted releases room that was made for h and is not needed. mu is held.
func (h *holding) dropWanted() {
	if h.claim == nil || h.claim.wanted == 0 { // only h itself changes it
		return
	}
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	h.store.setWanted(h.claim, 0)
	h.store.wake()
}

// cutNow closes h because other bodies need its room, and waits until the room is released.
func (h *holding) cutNow() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed { // its owner has closed it
		h.awaitFreed()
		return
	}
	h.cut = true
	h.io++ // Close waits for Cut
	h.closed = true
	h.mu.Unlock()
	h.owner.Cutter.Cut()
	h.mu.Lock()
	h.ioDone()
	_ = h.free() // an error of closing the unnamed file has no effect
}

// cutLog has the cut bodies that were not logged yet.
type cutLog struct {
	last    time.Time   // when the last line was logged
	largest []slog.Attr // of the largest body
	held    int64       // by the largest body
	kind    kind
	more    int // how many others
}

// cutReportInterval is the least time between two log lines.
const cutReportInterval = time.Second

// add records that v is cut in favour of a client.
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

// reportCuts logs the cut bodies, at most every cutReportInterval.
func (s *Store) reportCuts() {
	now := time.Now()
	s.mu.Lock()
	l := s.cuts
	if l.held == 0 || now.Sub(l.last) < cutReportInterval {
		s.mu.Unlock()
		return
	}
	s.cuts = cutLog{last: now}
	s.mu.Unlock()
	s.config.Logger.LogAttrs(context.Background(), slog.LevelWarn,
		fmt.Sprintf("there is no room for bodies any more, and others need some: the slowest %s of its client was cut", l.kind),
		append(l.largest, slog.Int("more_cut", l.more), slog.String("advice", "raise spool.memory and spool.disk (--spool-memory, --spool-disk) if clients may be that slow"))...)
}
