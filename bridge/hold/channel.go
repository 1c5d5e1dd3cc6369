package hold

import (
	"container/list"
	"slices"
	"time"
)

// channel is a name on which items are published. The registry's mutex guards it.
type channel struct {
	name  string
	holds []place // who waits there, in no order

	last    string   // the id of the last item; "": not known
	recent  []string // ids of the last items, the latest last
	skipped []string // ids of items that are not waited for any longer, the latest last
	pending []*Item  // whose predecessors have not come, as they came
	timer   *time.Timer

	idle      *list.Element // in idleChannels; nil: somebody waits there
	idleSince time.Time
}

// place is a subscription: its number among those of its Hold.
type place struct {
	hold *Hold
	sub  int
}

// recentMost is how many ids of a channel are known, to tell what is published twice.
const recentMost = 16

// skippedMost is how many ids of items that may come far too late are known.
const skippedMost = 4

// publish delivers an item in its turn. It returns who is to be woken.
func (c *channel) publish(r *Registry, i *Item) (woken []Waiter) {
	switch {
	case i.ID != "" && c.knows(i.ID):
		r.counts.Duplicates++
		return nil
	case i.PrevID == "" || c.last == "" || i.PrevID == c.last:
	case c.skips(i.ID):
		r.counts.Late++
	case len(c.pending) < reorderMost:
		c.pending = append(c.pending, i)
		if c.timer == nil {
			c.timer = time.AfterFunc(reorder, func() { r.late(c) })
		}
		c.keep(r)
		return nil
	default:
		woken = c.flush(r)
	}
	woken = c.deliver(r, i, woken)
	woken = c.follow(r, woken)
	c.keep(r)
	return woken
}

// knows reports whether an item with that id was published lately, or waits.
func (c *channel) knows(id string) bool {
	return slices.Contains(c.recent, id) || slices.ContainsFunc(c.pending, func(i *Item) bool { return i.ID == id })
}

// follow delivers the items that have waited for the last one.
func (c *channel) follow(r *Registry, woken []Waiter) []Waiter {
	for {
		n := slices.IndexFunc(c.pending, func(i *Item) bool { return i.PrevID == c.last })
		if n < 0 {
			break
		}
		i := c.pending[n]
		c.pending = slices.Delete(c.pending, n, n+1)
		woken = c.deliver(r, i, woken)
	}
	if len(c.pending) == 0 {
		c.stop()
	}
	return woken
}

// flush delivers all items that wait: their predecessors are not waited for any longer.
func (c *channel) flush(r *Registry) (woken []Waiter) {
	for len(c.pending) > 0 {
		n := max(0, slices.IndexFunc(c.pending, func(i *Item) bool { return !c.waits(i.PrevID) }))
		i := c.pending[n]
		c.pending = slices.Delete(c.pending, n, n+1)
		r.counts.Late++
		woken = c.follow(r, c.deliver(r, i, woken))
	}
	return woken
}

// waits reports whether an item with that id waits.
func (c *channel) waits(id string) bool {
	return slices.ContainsFunc(c.pending, func(i *Item) bool { return i.ID == id })
}

// late says that items have waited for long enough.
func (r *Registry) late(c *channel) {
	r.mu.Lock()
	var woken []Waiter
	if c.timer != nil { // else it was stopped
		woken = c.flush(r)
		c.keep(r)
	}
	r.mu.Unlock()
	wake(woken)
}

// stop ends the wait for predecessors.
func (c *channel) stop() {
	if c.timer != nil {
		c.timer.Stop()
		c.timer, c.pending = nil, nil
	}
}

// deliver delivers an item to all that wait.
func (c *channel) deliver(r *Registry, i *Item, woken []Waiter) []Waiter {
	c.note(i)                                // first: a channel that nobody waits on is kept for its last id
	for n := len(c.holds) - 1; n >= 0; n-- { // a Hold that ends leaves its place to the last one
		p := c.holds[n]
		woken = p.hold.deliver(p.sub, i, woken)
	}
	return woken
}

// note notes the id of an item, which is the last one unless items behind it were delivered before.
func (c *channel) note(i *Item) {
	if i.PrevID != "" && c.last != "" && i.PrevID != c.last && !c.published(i.PrevID) {
		c.skipped = push(c.skipped, i.PrevID, skippedMost)
	}
	if i.ID == "" {
		return
	}
	if n := slices.Index(c.skipped, i.ID); n >= 0 {
		c.skipped = slices.Delete(c.skipped, n, n+1)
	} else {
		c.last = i.ID
	}
	c.recent = push(c.recent, i.ID, recentMost)
}

// skips reports whether items behind the one with that id were delivered before it.
func (c *channel) skips(id string) bool { return id != "" && slices.Contains(c.skipped, id) }

// push appends an id to a list of so many, which loses its first one if need be.
func push(list []string, id string, most int) []string {
	if len(list) == most {
		list = list[:copy(list, list[1:])]
	}
	return append(list, id)
}

// keep decides what becomes of a channel where nobody waits.
func (c *channel) keep(r *Registry) {
	switch {
	case len(c.holds) > 0:
	case c.last == "" && len(c.pending) == 0:
		r.idle.remove(c)
		delete(r.channels, c.name)
	default:
		now := time.Now()
		r.idle.add(c, now)
		r.idle.forget(r, now)
	}
}

// join adds a subscription.
func (c *channel) join(r *Registry, p place) (index int) {
	r.idle.remove(c)
	c.holds = append(c.holds, p)
	return len(c.holds) - 1
}

// leave ends the subscription with that index.
func (c *channel) leave(r *Registry, index int) {
	last := len(c.holds) - 1
	moved := c.holds[last]
	c.holds[index] = moved
	moved.hold.subs[moved.sub].index = index
	c.holds[last] = place{}
	c.holds = c.holds[:last]
	switch {
	case last == 0:
		c.holds = nil
	case cap(c.holds) > 64 && last < cap(c.holds)/4:
		c.holds = slices.Clone(c.holds)
	}
	c.keep(r)
}
