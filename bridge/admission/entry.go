package admission

import "time"

// state is where a request stands: vacant -> waiting -> running -> vacant, or
// vacant -> running, or waiting -> vacant.
type state uint8

const (
	vacant state = iota
	waiting
	running
)

// entry is one request in the gate. Entries are used again; seq tells the uses
// apart, so that a ticket of an earlier one does nothing.
type entry struct {
	seq   uint64
	state state
	lane  Lane // what it is taken for; from its start on, what it was started as
	queue class

	declared     bool
	ownFault     bool   // it is refused because of its own flow
	newcomer     bool   // nothing was known of its exact route when it was started
	aged         bool   // it was found to be long after its start
	probe        uint64 // the number of the stall it was started in, to find out; 0: none
	streams      bool   // because its answer is a stream of events
	flow         *flow
	route, judge *route // judge: whose record it was taken for short by, if not by route's
	counts       bool   // it is among the aged of its route, and of the group for a newcomer

	arrived, started time.Duration
	age0             time.Duration // the ageing clock at its start
	deadline         time.Duration // while it waits
	index            int           // in Gate.deadlines; -1: not there
	patient          bool          // its deadline is that of a long one
	waiter           Waiter
	link             link[entry] // in a turn's queue or a chain of those blocked; then in young or old

	method, path, routeName, instance string // for reports; route has no name where routes are not told apart
}

// long reports whether e, in flight, counts as long.
func (e *entry) long() bool { return e.aged || e.lane.class() != fast }

// before reports whether e came before other.
func (e *entry) before(other *entry) bool { return e.arrived < other.arrived }

const keptEntries = 1024

// vacancy returns an entry for r.
func (g *Gate) vacancy(r *Request, now time.Duration) *entry {
	e := g.vacant.first()
	if e == nil {
		e = &entry{index: -1}
		e.link.of = e
	} else {
		e.link.leave()
	}
	e.declared, e.method, e.path, e.routeName, e.arrived = r.Long, r.Method, r.Path, r.Route, now
	return e
}

// vacate ends e's use.
func (g *Gate) vacate(e *entry) {
	seq := e.seq + 1
	*e = entry{seq: seq, index: -1}
	e.link.of = e
	if g.vacant.n < keptEntries {
		g.vacant.pushFront(&e.link)
	}
}
