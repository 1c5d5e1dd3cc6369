package hold

import "slices"

// Action is what a message does to those that wait for it.
type Action uint8

const (
	// Send: it is the answer, or the next piece of a stream.
	Send Action = iota
	// Hint: there is something new at the application, which is to be asked again.
	Hint
	// Close: a stream ends here, in order.
	Close
)

// Message is what is published for the Holds of one Mode. It is never changed.
type Message struct {
	Action Action
	Status int         // of an answer
	Fields [][2]string // of an answer's header, in their order
	Body   []byte
	// Filtered: it is for those subscriptions only that have exactly the content filters Content.
	Filtered bool
	Content  Filter
}

// Item is one publication on a channel. It is never changed.
type Item struct {
	Channel string
	ID      string // "": it has none
	PrevID  string // of the item before it on the channel; "": not known
	// Sender, SkipUsers and RequireSub are for the filters of subscriptions.
	Sender     string
	SkipUsers  []string
	RequireSub string // a channel

	Response *Message // for Holds of that mode; nil: it is not for them
	Stream   *Message
}

// of returns the message for a mode, nil if there is none.
func (i *Item) of(m Mode) *Message {
	if m == Response {
		return i.Response
	}
	return i.Stream
}

// Filter says which items of a channel a subscription leaves out.
type Filter uint8

const (
	// SkipSelf leaves out items whose sender is the user of the Hold.
	SkipSelf Filter = 1 << iota
	// SkipUsers leaves out items that are not for the user of the Hold.
	SkipUsers
	// RequireSub leaves out items that require another channel, on which the Hold does not wait.
	RequireSub
	// VarSubst is a content filter: it has the variables of the Hold take their places in the body.
	VarSubst
)

// contentFilters are those that change a message.
const contentFilters = VarSubst

// skips reports whether a subscription with the filter f leaves out an item.
func (h *Hold) skips(f Filter, i *Item) bool {
	switch {
	case f&SkipSelf != 0 && h.user != "" && i.Sender == h.user:
		return true
	case f&SkipUsers != 0 && h.user != "" && slices.Contains(i.SkipUsers, h.user):
		return true
	}
	return f&RequireSub != 0 && i.RequireSub != "" && !h.waitsOn(i.RequireSub)
}

// fit returns the message as a subscription with the filter f has it, nil if it is not for that.
func (h *Hold) fit(f Filter, m *Message) *Message {
	if m.Filtered && m.Content != f&contentFilters {
		return nil
	}
	if f&VarSubst == 0 || m.Action != Send {
		return m
	}
	r := h.site.registry
	body, err := Substitute(m.Body, h.vars, r.limits.Message)
	if err != nil { // it is the publisher's mistake, or the application's: metrics tell
		r.counts.Unfit++
		return nil
	}
	own := *m
	own.Body = body
	return &own
}
