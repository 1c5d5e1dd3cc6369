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

// entry is one request in the gate. Entries are used again. There is one for each request
// that is parked: its fields are in the order that takes least room.
type entry struct {
	seq uint64 // of its use, in the order of arrival, so that a ticket of an earlier one does nothing

	state    state
	lane     Lane // what it is taken for; from its start on, what it was started as
	queue    class
	depth    uint8 // a worker waits for its answer, with a request of so much less depth; 0: it is not nested
	declared bool
	ownFault bool // it is refused because of its own client's
	newcomer bool // nothing was known of its exact route when it was started
	aged     bool // it was found to be long after its start
	streams  bool // because its answer is a stream of events
	guest    bool // it was started although its flow, or its route, has in flight what it may
	counts   bool // it is among the aged of its route, and of the group for a newcomer
	patient  bool // its deadline is that of a long one

	probe        uint64 // the number of the stall it was started in, to find out; 0: none
	client       uint64 // client's key
	flow         *flow
	route, judge *route // judge: whose record it was taken for short by, if not by route's

	arrived, started time.Duration
	age0             time.Duration // the ageing clock at its start
	deadline         time.Duration // while it waits
	waiter           Waiter

	link        link[entry] // in a turn's queue, client.unknown or nesting.waiting; then in young or old
	mine        link[entry] // in flow.waits
	in, lined   *line       // the line it waits in; the last one it did
	turn        int         // in that line
	index       int32       // in Gate.deadlines; -1: not there
	placeInLine int32       // in the line; -1: not there

	method, path, routeName, instance string // for reports; route has no name where routes are not told apart
}

// long reports whether e, in flight, counts as long.
func (e *entry) long() bool { return e.aged || e.lane.class() != fast }

// before reports whether e came before other.
func (e *entry) before(other *entry) bool { return e.seq < other.seq }

const keptEntries = 1024

// vacancy returns an entry for r.
func (g *Gate) vacancy(r *Request, now time.Duration) *entry {
	e := g.vacant.first()
	if e == nil {
		e = new(entry)
		e.clear()
	} else {
		e.link.leave()
	}
	g.seq++
	e.seq = g.seq
	e.declared, e.method, e.path, e.routeName, e.arrived = r.Long, r.Method, r.Path, r.Route, now
	return e
}

// vacate ends e's use.
func (g *Gate) vacate(e *entry) {
	e.clear()
	if g.vacant.n < keptEntries {
		g.vacant.pushFront(&e.link)
	}
}

func (e *entry) clear() {
	*e = entry{index: -1, placeInLine: -1}
	e.link.of, e.mine.of = e, e
}
