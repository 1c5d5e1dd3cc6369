package hold

import "slices"

// turn is how far a Hold has come with recovery.
type turn uint8

const (
	noTurn turn = iota
	queued      // it waits for its turn
	active      // it asks the application
)

// recovery bounds how many Holds ask the application again at once: after a restart of a publisher,
// all of them want to. The registry's mutex guards it.
type recovery struct {
	queue   []*Hold // those that wait, the first in front; others have been dropped
	active  int
	waiting int // in queue
}

// enter has a Hold wait for its turn. It returns who has it.
func (v *recovery) enter(h *Hold, most int) []Waiter {
	h.turn = queued
	v.queue = append(v.queue, h)
	v.waiting++
	return v.admit(most)
}

// admit lets Holds recover that wait, as many as there is room for.
func (v *recovery) admit(most int) (woken []Waiter) {
	for v.active < most && len(v.queue) > 0 {
		h := v.queue[0]
		v.queue[0] = nil
		v.queue = v.queue[1:]
		if h.turn != queued {
			continue
		}
		v.waiting--
		v.active++
		h.turn = active
		r := h.site.registry
		r.counts.Ended[Recover]++
		h.uncount()
		woken = append(woken, h.waiter)
	}
	if v.waiting == 0 {
		v.queue = nil
	}
	return woken
}

// drop has a Hold not wait any more.
func (v *recovery) drop(h *Hold) {
	if h.turn == queued {
		h.turn = noTurn
		v.waiting--
		if len(v.queue) > 2*v.waiting+64 { // clients may come and leave while all wait
			v.queue = slices.DeleteFunc(v.queue, func(h *Hold) bool { return h.turn != queued })
		}
	}
}

// Recovered says that the application was asked again, or is not. It may be called more than once.
func (h *Hold) Recovered() {
	r := h.site.registry
	r.mu.Lock()
	var woken []Waiter
	if h.turn == active {
		h.turn = noTurn
		r.recovery.active--
		woken = r.recovery.admit(r.limits.Recovers)
	}
	r.mu.Unlock()
	wake(woken)
}
