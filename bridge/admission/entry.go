package admission

import "time"

// state is where a request stands: vacant -> waiting -> running -> vacant, or
// vacant -> running, or waiting -> vacant.
type state uint8

const (
	unused state = iota
	waiting
	running
)

// entry is one request in the gate. Entries are used again. There is one for each request
// that is parked: its fields are in the order that takes least room.
type entry struct {
	seq uint64 // of its use, in the order of arrival, so that a ticket of an earlier one does nothing

	state        state
	lane         Lane // what it is taken for; from its start on, what it was started as
	queue        class
	depth        uint8 // a worker waits for its answer, with a request of so much less depth; 0: it is not nested
	declared     bool
	ownFault     bool // it is refused because of its own client's
	newRoute     bool // nothing was known of its exact route when it was started
	aged         bool // it was found to be long after its start
	streams      bool // because its answer is a stream of events
	borrows      bool // it was started although its flow, or its route, has in flight what it may
	countsAsAged bool // it is among the aged of its route, and of the group for a newcomer
	longWait     bool // its deadline is that of a long one

	probe         uint64 // the number of the stall it was started in, to find out; 0: none
	addressKey    uint64 // client's key
	client        *client
	route, record *route // judge: whose record it was taken for short by, if not by route's

	arrived, started time.Duration
	ageStart         time.Duration // the ageing clock at its start
	deadline         time.Duration // while it waits
	waiter           Waiter

	link                       link[entry] // in a turn's queue, client.unknown or nesting.waiting; then in young or old
	ofClient                   link[entry] // in flow.waits
	routeQueue, lastRouteQueue *routeQueue // the line it waits in; the last one it did
	round                      int         // in that line
	deadlineIndex              int32       // in Gate.deadlines; -1: not there
	roundIndex                 int32       // in the line; -1: not there

	method, path, routeName, instance string // for reports; route has no name where routes are not told apart
}

// long reports whether e, in flight, counts as long.
func (e *entry) long() bool { return e.aged || e.lane.class() != fast }

// before reports whether e came before other.
func (e *entry) before(other *entry) bool { return e.seq < other.seq }

const maxFreeEntries = 1024

// newEntry returns an entry for r.
func (g *Gate) newEntry(r *Request, now time.Duration) *entry {
	e := g.freeEntries.first()
	if e == nil {
		e = new(entry)
		e.reset()
	} else {
		e.link.leave()
	}
	g.seq++
	e.seq = g.seq
	e.declared, e.method, e.path, e.routeName, e.arrived = r.Long, r.Method, r.Path, r.Route, now
	return e
}

// recycle ends e's use.
func (g *Gate) recycle(e *entry) {
	e.reset()
	if g.freeEntries.n < maxFreeEntries {
		g.freeEntries.pushFront(&e.link)
	}
}

func (e *entry) reset() {
	*e = entry{deadlineIndex: -1, roundIndex: -1}
	e.link.of, e.ofClient.of = e, e
}
