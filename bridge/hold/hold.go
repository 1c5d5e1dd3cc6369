package hold

import (
	"slices"
	"strings"
)

// Mode is how a client is held.
type Mode uint8

const (
	// Response: the first message is the answer, and ends the Hold.
	Response Mode = iota
	// Stream: each message is a piece of the answer.
	Stream
)

// Subscription is a channel that a client waits on.
type Subscription struct {
	Channel string
	PrevID  string // of the last item that the client knows of; "": not known
	Filter  Filter
}

// Instruct says what a client waits for.
type Instruct struct {
	Mode          Mode
	Subscriptions []Subscription    // at most Limits.Channels of them, each of another channel
	User          string            // for the filters
	Vars          map[string]string // for VarSubst; kept, and not changed
	// Recovers says that the application can be asked again for what was missed. Recovered is how
	// often that was done in vain since the last message.
	Recovers  bool
	Recovered int
}

// Who is whose Hold it is.
type Who struct {
	Key    uint64 // client key; 0: not known
	Shared bool   // it may stand for many people
}

// End is how a Hold has ended.
type End uint8

const (
	// None: it has not ended, or its end is not to be dealt with yet.
	None End = iota
	// Answered: a message was the answer.
	Answered
	// Closed: a publisher has closed the stream.
	Closed
	// Expired: the time was over.
	Expired
	// Recover: the application is to be asked again. Call Recovered when it has answered.
	Recover
	// Missed: something was missed, and the application cannot be asked for it.
	Missed
	// Slow: the client has not taken what was sent to it.
	Slow
	// Drained: the site ends.
	Drained
	// Left: nobody waits any more.
	Left
	endsCount
)

var endWords = [endsCount]string{"", "answered", "closed", "expired", "recovered", "missed", "slow", "drained", "left"}

// String returns the word for e that logs and metrics have.
func (e End) String() string { return endWords[e] }

// Ends are all ends that a Hold may have.
func Ends() []End { return []End{Answered, Closed, Expired, Recover, Missed, Slow, Drained, Left} }

// Waiter is woken when Hold.Take has something to return. Wake must not block. It may be called
// before Site.Hold has returned, and more often than there is something.
type Waiter interface{ Wake() }

// messageCost is what a message takes that waits for a Hold, in bytes, besides its body.
const messageCost = 100

// recoveredMost is how often the application is asked again in vain.
const recoveredMost = 5

// Hold is one client that waits. There are many: the fields are in an order that takes little memory.
type Hold struct {
	site       *Site
	waiter     Waiter
	subs       []subscription // on channels while it has not ended
	user       string
	vars       map[string]string // nil: no filter needs them
	queue      []*Message        // for the client, the oldest first
	key        uint64
	next, prev *Hold // of the site
	backlog    int   // bytes in queue
	recovered  int8
	mode       Mode
	end        End
	recovers   bool
	counted    bool // among the Holds of the registry
	turn       turn // with recovery
}

// subscription is one channel of a Hold.
type subscription struct {
	channel *channel
	prev    string // id of the last item that the client knows of
	index   int    // in channel.holds
	filter  Filter
}

// Hold has a client wait. An error is a *LimitError. Leave must be called in the end, whatever has
// become of it.
func (s *Site) Hold(in *Instruct, who Who, w Waiter) (*Hold, error) {
	r := s.registry
	r.mu.Lock()
	if err := r.refuses(in, who); err != nil {
		r.counts.Refused++
		r.mu.Unlock()
		return nil, err
	}
	h := &Hold{
		site: s, waiter: w, user: strings.Clone(in.User), key: who.Key, mode: in.Mode, recovers: in.Recovers, counted: true,
		recovered: int8(min(in.Recovered, recoveredMost)), subs: make([]subscription, 0, len(in.Subscriptions)),
	}
	h.enter()
	behind := len(in.Subscriptions) == 0
	for i, sub := range in.Subscriptions {
		c := r.channelOf(sub.Channel)
		behind = behind || c.isAheadOf(sub.PrevID, h.recovered > 0)
		if sub.Filter&VarSubst != 0 {
			h.vars = in.Vars
		}
		h.subs = append(h.subs, subscription{channel: c, prev: c.same(sub.PrevID), filter: sub.Filter})
		h.subs[i].index = c.join(r, place{h, i})
	}
	var woken []Waiter
	switch {
	case s.drained || r.closed:
		woken = h.finish(Drained)
	case behind:
		woken = h.miss(nil)
	}
	r.mu.Unlock()
	wake(woken)
	return h, nil
}

// same returns an id that takes no memory of its own if it is the last one: mostly it is, and there are
// many clients. Another one is a copy, which does not keep all of an answer's header.
func (c *channel) same(id string) string {
	if id == c.last {
		return c.last
	}
	return strings.Clone(id)
}

// isAheadOf reports whether items have come since the one with that id. An id that is not known may
// be one that is still to come: the application is believed when it says it again.
func (c *channel) isAheadOf(id string, again bool) bool {
	if id == "" || c.last == "" || id == c.last {
		return false
	}
	return !again || c.published(id)
}

// published reports whether an item with that id was delivered lately.
func (c *channel) published(id string) bool {
	return slices.Contains(c.recent, id)
}

// enter counts the Hold. The caller holds the mutex, here and below.
func (h *Hold) enter() {
	s, r := h.site, h.site.registry
	r.holds++
	if h.key != 0 {
		r.clients[h.key]++
	}
	if h.next = s.first; h.next != nil {
		h.next.prev = h
	}
	s.first = h
}

// uncount undoes enter.
func (h *Hold) uncount() {
	if !h.counted {
		return
	}
	h.counted = false
	s, r := h.site, h.site.registry
	r.holds--
	if h.key != 0 {
		if r.clients[h.key]--; r.clients[h.key] == 0 {
			delete(r.clients, h.key)
		}
	}
	if h.prev != nil {
		h.prev.next = h.next
	} else {
		s.first = h.next
	}
	if h.next != nil {
		h.next.prev = h.prev
	}
	h.next, h.prev = nil, nil
}

// unsubscribe takes the Hold off its channels.
func (h *Hold) unsubscribe() {
	for i := range h.subs {
		h.subs[i].channel.leave(h.site.registry, h.subs[i].index)
	}
}

func (h *Hold) waitsOn(channel string) bool {
	for i := range h.subs {
		if h.subs[i].channel.name == channel {
			return true
		}
	}
	return false
}

// deliver gives the Hold an item of one of its channels.
func (h *Hold) deliver(sub int, i *Item, woken []Waiter) []Waiter {
	s := &h.subs[sub]
	switch {
	case i.ID != "" && i.ID == s.prev: // what the application has told already
		return woken
	case i.PrevID != "" && s.prev != "" && i.PrevID != s.prev:
		return h.miss(woken)
	}
	if i.ID != "" {
		s.prev = i.ID
	}
	m := i.of(h.mode)
	if m == nil || h.skips(s.filter, i) {
		return woken
	}
	if m = h.fit(s.filter, m); m == nil {
		return woken
	}
	switch {
	case m.Action == Hint:
		return h.ask(woken)
	case m.Action == Close && h.mode == Stream:
		return append(woken, h.finish(Closed)...)
	}
	r := h.site.registry
	r.counts.Delivered++
	h.recovered = 0
	h.queue = append(h.queue, m)
	if h.mode == Response {
		return append(woken, h.finish(Answered)...)
	}
	if h.backlog += len(m.Body); h.backlog+messageCost*(len(h.queue)-1) > r.limits.Backlog { // one finds room in any case
		return append(woken, h.finish(Slow)...)
	}
	return append(woken, h.waiter)
}

// ask has the Hold recover although it has missed nothing: to ask for a stream once more is not in vain.
func (h *Hold) ask(woken []Waiter) []Waiter {
	if h.mode == Stream {
		h.recovered = 0
	}
	return h.miss(woken)
}

// miss says that the Hold has missed something, or is told to ask.
func (h *Hold) miss(woken []Waiter) []Waiter {
	switch {
	case !h.recovers:
		return append(woken, h.finish(Missed)...)
	case h.recovered == recoveredMost && h.mode == Response:
		return append(woken, h.finish(Expired)...)
	case h.recovered == recoveredMost:
		return append(woken, h.finish(Missed)...)
	}
	return append(woken, h.finish(Recover)...)
}

// finish ends the Hold, and returns who is to be woken.
func (h *Hold) finish(e End) []Waiter {
	r := h.site.registry
	if h.end != None && h.turn != queued { // what waits for its turn to recover may end otherwise
		return nil
	}
	if h.end == None {
		h.unsubscribe()
	}
	r.recovery.drop(h)
	h.end = e
	switch e {
	case Recover:
		return r.recovery.enter(h, r.limits.Recovers)
	case Slow, Left:
		h.queue, h.backlog = nil, 0
	}
	h.subs = nil
	r.counts.Ended[e]++
	h.uncount()
	return []Waiter{h.waiter}
}

// Take returns the next message for the client, nil if there is none now. After the last message it
// returns the end.
func (h *Hold) Take() (*Message, End) {
	r := h.site.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(h.queue) > 0 {
		m := h.queue[0]
		h.queue[0] = nil
		if h.queue = h.queue[1:]; len(h.queue) == 0 {
			h.queue = nil
		}
		h.backlog -= len(m.Body)
		return m, None
	}
	if h.turn == queued {
		return nil, None
	}
	return nil, h.end
}

// Ready reports whether Take has something to return.
func (h *Hold) Ready() bool {
	r := h.site.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(h.queue) > 0 || h.end != None && h.turn != queued
}

// IsSlow reports whether the Hold has ended because its client does not take what it is sent.
func (h *Hold) IsSlow() bool {
	r := h.site.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	return h.end == Slow
}

// Expire ends a Hold whose time is over with Expired, unless it has ended.
func (h *Hold) Expire() { h.endWith(Expired) }

// Ask has a Hold that has not ended recover.
func (h *Hold) Ask() {
	r := h.site.registry
	r.mu.Lock()
	var woken []Waiter
	if h.end == None {
		woken = h.ask(nil)
	}
	r.mu.Unlock()
	wake(woken)
}

// InVain returns how often the application was asked again in vain since the last message.
func (h *Hold) InVain() int {
	r := h.site.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	return int(h.recovered)
}

// Leave says that nobody waits any more, and gives everything back. It may be called more than once,
// and after the end.
func (h *Hold) Leave() {
	h.endWith(Left)
	h.Recovered()
}

func (h *Hold) endWith(e End) {
	r := h.site.registry
	r.mu.Lock()
	woken := h.finish(e)
	r.mu.Unlock()
	wake(woken)
}

// Missed returns the channels of a Hold that has ended with Recover, and the last ids that its client
// knows of, for the application that is asked again.
func (h *Hold) Missed() []Subscription {
	r := h.site.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []Subscription
	for i := range h.subs {
		if s := &h.subs[i]; s.prev != "" {
			list = append(list, Subscription{Channel: s.channel.name, PrevID: s.prev, Filter: s.filter})
		}
	}
	return list
}
