package hold

import (
	"container/list"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Limits bound what the Holds of a Registry take.
type Limits struct {
	Holds    int // in all
	Client   int // of one client key
	Channel  int // on one channel
	Channels int // of one Hold
	Message  int // bytes of one message
	Backlog  int // bytes that may wait for one Hold
	Recovers int // Holds that recover at once
}

const (
	// remember is how long the last id of a channel is known although nobody waits there: longer
	// than an application takes to answer that it was the last.
	remember = time.Minute
	// rememberMost is how many such channels there are at most.
	rememberMost = 10_000
	// reorder is how long an item waits for its predecessor.
	reorder = time.Second
	// reorderMost is how many items of a channel wait at most.
	reorderMost = 32
)

// Registry has the channels of one application. Its methods may be called at the same time.
type Registry struct {
	mu       sync.Mutex
	limits   Limits
	channels map[string]*channel
	idle     idleChannels
	clients  map[uint64]int // Holds by client key
	holds    int
	recovery recovery
	counts   Counts
	closed   bool
}

// New returns a Registry without Holds.
func New(l Limits) *Registry {
	return &Registry{limits: l, channels: make(map[string]*channel), clients: make(map[uint64]int)}
}

// Configure has other limits hold from now on. Holds that are there stay.
func (r *Registry) Configure(l Limits) {
	r.mu.Lock()
	r.limits = l
	woken := r.recovery.admit(l.Recovers)
	r.mu.Unlock()
	wake(woken)
}

// Limits returns the limits that hold now.
func (r *Registry) Limits() Limits {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.limits
}

// Counts are what has happened in a Registry.
type Counts struct {
	Published  uint64            // items
	Duplicates uint64            // items that had the id of the one before
	Late       uint64            // items whose predecessor did not come in time
	Delivered  uint64            // messages to Holds
	Ended      [endsCount]uint64 // Holds, by End
	Refused    uint64            // Holds beyond a limit
	Unfit      uint64            // messages that no variables could be put into, for one Hold each
}

// Snapshot is the state of a Registry.
type Snapshot struct {
	Counts
	Holds      int
	Channels   int // where somebody waits
	Remembered int // where nobody waits, and the last id is known
	Recovering int // Holds that ask the application again
	Waiting    int // Holds that are to
}

// Snapshot returns the state.
func (r *Registry) Snapshot() Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	idle := r.idle.len()
	return Snapshot{
		Counts: r.counts, Holds: r.holds, Channels: len(r.channels) - idle, Remembered: idle,
		Recovering: r.recovery.active, Waiting: r.recovery.waiting,
	}
}

// LimitError is why a Hold was refused.
type LimitError struct {
	What  string // "clients", "client" or "channel"
	Limit int
}

func (e *LimitError) Error() string {
	switch e.What {
	case "clients":
		return fmt.Sprintf("%d clients are held, as many as hold.clients allows", e.Limit)
	case "client":
		return fmt.Sprintf("this client is held %d times, as often as hold.client_limit allows", e.Limit)
	}
	return fmt.Sprintf("%d clients are held on the channel, as many as hold.channel_limit allows", e.Limit)
}

// refuses returns the limit that one more Hold would exceed. The caller holds the mutex.
func (r *Registry) refuses(in *Instruct, who Who) error {
	l := &r.limits
	most := l.Client
	if who.Shared { // it may stand for many people
		most *= 2
	}
	switch {
	case r.holds >= l.Holds:
		return &LimitError{"clients", l.Holds}
	case who.Key != 0 && r.clients[who.Key] >= most:
		return &LimitError{"client", most}
	}
	for i := range in.Subscriptions {
		if c := r.channels[in.Subscriptions[i].Channel]; c != nil && len(c.holds) >= l.Channel {
			return &LimitError{"channel", l.Channel}
		}
	}
	return nil
}

// Publish delivers an item, or keeps it for a moment if the one before it is missing. It returns how
// many Holds it was delivered to.
func (r *Registry) Publish(i *Item) (delivered int) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return 0
	}
	r.counts.Published++
	before := r.counts.Delivered
	woken := r.channelOf(i.Channel).publish(r, i)
	delivered = int(r.counts.Delivered - before)
	r.mu.Unlock()
	wake(woken)
	return delivered
}

// channelOf returns a channel, which is made if it is not known. The caller holds the mutex.
func (r *Registry) channelOf(name string) *channel {
	c := r.channels[name]
	if c == nil {
		c = &channel{name: strings.Clone(name)} // which may be a part of a header
		r.channels[c.name] = c
	}
	return c
}

// Close ends what waits for time to pass. The sites have been drained before. It may be called more
// than once.
func (r *Registry) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, c := range r.channels {
		c.stop()
	}
}

// Site is what the Holds of one site have in common.
type Site struct {
	registry *Registry
	drained  bool
	first    *Hold // of a list, by next and prev
}

// Site returns a site in front of the application.
func (r *Registry) Site() *Site { return &Site{registry: r} }

// Registry returns the registry of the site's application.
func (s *Site) Registry() *Registry { return s.registry }

// Drain ends the site's Holds with Drained, and each that comes later at once.
func (s *Site) Drain() {
	r := s.registry
	r.mu.Lock()
	s.drained = true
	var woken []Waiter
	for s.first != nil {
		woken = append(woken, s.first.finish(Drained)...)
	}
	r.mu.Unlock()
	wake(woken)
}

// wake wakes waiters. The caller does not hold the mutex.
func wake(woken []Waiter) {
	for _, w := range woken {
		w.Wake()
	}
}

// idleChannels are the channels where nobody waits, the one that fell idle first in front.
type idleChannels struct{ list list.List }

func (l *idleChannels) len() int { return l.list.Len() }

// add remembers a channel where nobody waits.
func (l *idleChannels) add(c *channel, now time.Time) {
	c.idleSince = now
	if c.idle == nil {
		c.idle = l.list.PushBack(c)
	} else {
		l.list.MoveToBack(c.idle)
	}
}

// remove says that somebody waits there again.
func (l *idleChannels) remove(c *channel) {
	if c.idle != nil {
		l.list.Remove(c.idle)
		c.idle = nil
	}
}

// forget forgets channels that have been idle for long, and those that are too many. The caller holds
// the registry's mutex.
func (l *idleChannels) forget(r *Registry, now time.Time) {
	for e := l.list.Front(); e != nil; e = l.list.Front() {
		c := e.Value.(*channel)
		if l.len() <= rememberMost && now.Sub(c.idleSince) < remember {
			return
		}
		l.remove(c)
		c.stop()
		delete(r.channels, c.name)
	}
}
