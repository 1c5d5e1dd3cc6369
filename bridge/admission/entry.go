package admission

import (
	"strings"
	"time"
)

// state is the state of an entry: unused -> waiting -> running -> unused, or unused -> running, or
// waiting -> unused.
type state uint8

const (
	unused state = iota
	waiting
	running
)

// entry is a request in the gate. Entries are reused. Each parked request has one, so the fields
// are in the order that takes the least memory.
type entry struct {
	seq uint64 // number of the use, in order of arrival; a ticket of an earlier use does nothing

	state        state
	lane         Lane // the current lane; from the start on, the lane it started in
	queue        class
	depth        uint8 // 0: not nested; else a worker waits for its answer, with a request whose depth is one less
	declared     bool
	upgrade      bool // it is one of Gate.upgrades
	ownFault     bool // it is refused because of other requests of its own client or address
	newRoute     bool // its route was not known when it was classified
	aged         bool // it has become long since its start
	streams      bool // its answer is a stream of events, which makes it long
	borrows      bool // it started beyond the limit of its client or its route
	countsAsAged bool // it is among the aged requests of its route and, if newRoute, of the group
	longWait     bool // its deadline is that of a long request
	abandoned    bool // nobody waits for its answer any more

	probe         uint64 // number of the suspicion during which it started as a probe; 0: none
	addressKey    uint64 // key of its address
	client        *client
	route, record *route // record: the group whose record made it short, nil if the route's own did

	arrived, started time.Duration
	ageStart         time.Duration // the ageing clock at its start
	deadline         time.Duration // while it waits
	waiter           Waiter

	link                       link[entry] // in clientQueue.waiting, address.unknownWaiting or nesting.waiting; in flight, in young or old
	ofClient                   link[entry] // in client.waiting
	routeQueue, lastRouteQueue *routeQueue // the route's queue it waits in; the last one it waited in
	round                      int         // its round in that queue
	deadlineIndex              int32       // in Gate.deadlines; -1: not there
	roundIndex                 int32       // in routeQueue.waiting; -1: not there
	runningIndex               int32       // in Gate.running; of no meaning while it is not running

	method, path, routeName, instance string // for reports; route has no name if Lanes is off
}

// long reports whether e, in flight, counts as long.
func (e *entry) long() bool { return e.aged || e.lane.class() != fast }

// before reports whether e arrived before other.
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
	e.declared = r.Long || r.Upgrade
	e.method, e.path, e.routeName, e.arrived = r.Method, r.Path, r.Route, now
	return e
}

// nameAs has the texts of e, whose route r is, be those of r: while a request waits, it keeps none of its
// own.
func (e *entry) nameAs(r *route) {
	e.routeName = r.name
	if at := strings.Index(r.name, e.path); at >= 0 {
		e.path = r.name[at : at+len(e.path)]
	}
}

// recycle ends the use of e and keeps it for another request.
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
