package sim

import (
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

// epoch is the wall-clock time of virtual time zero.
var epoch = time.Unix(1_000_000_000, 0)

// event happens at a virtual time. Events of the same time happen in the order of their creation.
type event struct {
	at  time.Duration
	seq uint64
	do  func(*request)
	r   *request
}

func (e *event) before(o *event) bool {
	return e.at < o.at || e.at == o.at && e.seq < o.seq
}

// timeline is a heap of events with four children per node, which has half the cache misses of
// container/heap, whose interface also allocates each event.
type timeline struct {
	now  time.Duration
	seq  uint64
	heap []event
}

func (t *timeline) after(d time.Duration, do func(*request), r *request) {
	t.seq++
	t.heap = append(t.heap, event{at: t.now + max(d, 0), seq: t.seq, do: do, r: r})
	h, i := t.heap, len(t.heap)-1
	for i > 0 {
		parent := (i - 1) / 4
		if !h[i].before(&h[parent]) {
			break
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
}

// next removes the earliest event and advances the time to it.
func (t *timeline) next() event {
	h := t.heap
	first, last := h[0], len(h)-1
	h[0], h[last] = h[last], event{}
	h = h[:last]
	t.heap = h
	for i := 0; ; {
		least := i
		for c := 4*i + 1; c <= 4*i+4 && c < len(h); c++ {
			if h[c].before(&h[least]) {
				least = c
			}
		}
		if least == i {
			break
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
	t.now = first.at
	return first
}

// clock is the timeline as the gate sees it.
type clock struct {
	*timeline
	timers int // set
}

func (c *clock) Now() time.Time { return epoch.Add(c.now) }

func (c *clock) AfterFunc(d time.Duration, f func()) admission.Timer {
	t := &timer{clock: c, f: f}
	t.Reset(d)
	return t
}

// timer is an event that can be cancelled: an event of an earlier setting does nothing.
type timer struct {
	clock   *clock
	f       func()
	setting int
	set     bool
}

func (t *timer) Stop() bool {
	was := t.set
	if was {
		t.clock.timers--
	}
	t.set = false
	t.setting++
	return was
}

func (t *timer) Reset(d time.Duration) bool {
	was := t.Stop()
	t.set = true
	t.clock.timers++
	setting := t.setting
	t.clock.after(d, func(*request) {
		if t.setting != setting {
			return
		}
		t.Stop()
		t.f()
	}, nil)
	return was
}
