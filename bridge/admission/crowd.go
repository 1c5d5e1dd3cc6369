package admission

import "time"

// room is what requests that wait take room in. Each is bounded for itself.
type room uint8

const (
	ready   room = iota // short ones that wait for a slot
	finding             // those of unknown routes
	parked              // mixed and long ones, and short ones that wait for others of their flow
	rooms
)

// roomOf is where e, which waits or is about to, takes room.
func (e *entry) room() room {
	switch {
	case e.lane == Unknown:
		return finding
	case e.lane != Short, e.flow.turns[fast].held:
		return parked
	}
	return ready
}

// crowd is how many requests of one client wait in a room.
type crowd struct {
	client *client
	n      int32
	index  int32 // in Gate.crowds
}

// bySize has the largest crowd on top.
type bySize struct{}

func (bySize) before(a, b *crowd) bool { return a.n > b.n }
func (bySize) index(c *crowd) *int32   { return &c.index }

// fill notes that so many more requests of f, or fewer, wait in a room.
func (g *Gate) fill(f *flow, in room, by int) {
	if by == 0 {
		return
	}
	g.filled[in] += by
	f.filled[in] += int32(by)
	c := &f.home.crowds[in]
	was := c.n
	switch c.n += int32(by); {
	case was == 0:
		g.crowds[in].push(c)
	case c.n == 0:
		g.crowds[in].remove(c)
	default:
		g.crowds[in].fix(c)
	}
}

// moveIn has e be among those of its flow that wait. As long as any do, the flow is
// one of that client's.
func (g *Gate) moveIn(e *entry) {
	f := e.flow
	if f.waits.n == 0 {
		f.home = g.clientOf(e.client)
		f.home.flows.pushBack(&f.neighbour)
	}
	e.client = f.home.key
	f.waits.pushBack(&e.mine)
	f.count(e, 1)
	g.fill(f, e.room(), 1)
}

// moveOut undoes moveIn.
func (g *Gate) moveOut(e *entry) {
	f := e.flow
	g.fill(f, e.room(), -1)
	f.count(e, -1)
	e.mine.leave()
	if f.waits.n > 0 {
		return
	}
	f.neighbour.leave()
	g.forget(f.home)
	f.home = nil
}

// mayWait is how many requests of e's flow may wait where it would: some of all that
// may, so that one flow never has all places. An address may stand for many people.
func (g *Gate) mayWait(e *entry) int {
	size := g.cfg.LongSize
	if e.lane == Short {
		size = g.cfg.Size
	}
	switch {
	case e.flow == g.nobody:
		return size
	case e.flow.shared && e.lane != Short:
		return max(g.flowLimit, size/2)
	case e.flow.shared:
		return size
	}
	return max(g.flowLimit, size/4)
}

// turnsApart is how many requests of one client may wait for slots before others of its
// flows have no turns of their own any more, but those of the client: else one that sends
// another cookie with each request would have as many turns as requests. What others have
// to wait for all these turns is part of what they may wait.
func (g *Gate) turnsApart() int32 {
	n := g.cfg.Size / 4
	if mean := g.load.mean(); mean > 0 {
		n = min(n, int(g.cfg.Timeout.Seconds()/4*float64(g.w)/mean))
	}
	return int32(max(2, n))
}

// crowded returns the flow that e is to wait in instead of its own, if any.
func (g *Gate) crowded(e *entry, r *Request, now time.Duration) *flow {
	if e.queue != fast || e.flow.shared || e.flow.waits.n > 0 || r.Client == 0 || r.Client == r.Flow {
		return nil
	}
	if c := g.clients[e.client]; c == nil || c.crowds[ready].n+c.crowds[finding].n < g.turnsApart() {
		return nil
	}
	return g.flowOf(r.Client, true, now)
}

// makeRoom refuses the newest request of whoever has the most in a room, so that e can
// wait there: the client with the most, and of its flows the one with the most. It reports
// false if that is e's, which is the newest then.
func (g *Gate) makeRoom(e *entry, why Reason, now time.Duration) bool {
	in := e.room()
	own := e.flow.home
	if own == nil {
		own = g.clients[e.client] // nil: it has nothing here
	}
	c, n := own, 1
	if own != nil {
		n += int(own.crowds[in].n)
	}
	if most := g.crowds[in].first(); most != nil && int(most.n) > n {
		c, n = most.client, int(most.n)
	}
	e.ownFault = g.isFlood(n, in)
	if c == nil {
		return false
	}
	f := c.fullest(in)
	if f == nil || c == own && f.filled[in] <= e.flow.filled[in]+1 {
		return false
	}
	last := f.newest(in)
	last.ownFault = e.ownFault
	g.expel(last, why, now)
	return true
}

// usual is how many of one client may wait without being too many.
const usual = 8

// isFlood reports whether so many of one client in a room are what is wrong there. They are
// no load to reckon with: it would push out long requests.
func (g *Gate) isFlood(n int, in room) bool { return n > max(usual, g.filled[in]/4) }

// mostLooks is how many flows of a client are looked at to find the one with the most.
const mostLooks = 256

// fullest is the flow of c that has the most in a room.
func (c *client) fullest(in room) (most *flow) {
	n := 0
	for l, looks := c.flows.head, 0; l != nil && looks < mostLooks; l, looks = l.next, looks+1 {
		if f := l.of; int(f.filled[in]) > n {
			most, n = f, int(f.filled[in])
		}
	}
	return most
}

// newest is the request of f that came last of those in a room.
func (f *flow) newest(in room) *entry {
	for l := f.waits.tail; l != nil; l = l.prev {
		if l.of.room() == in {
			return l.of
		}
	}
	return nil
}
