package admission

import "time"

// room is what requests that wait take room in. Each is bounded for itself.
type waitingRoom uint8

const (
	roomReady   waitingRoom = iota // short ones that wait for a slot
	roomUnknown                    // those of unknown routes
	roomParked                     // mixed and long ones, and short ones that wait for others of their flow
	rooms
)

// roomOf is where e, which waits or is about to, takes room.
func (e *entry) waitingRoom() waitingRoom {
	switch {
	case e.lane == Unknown:
		return roomUnknown
	case e.lane != Short, e.client.queues[fast].throttled:
		return roomParked
	}
	return roomReady
}

// crowd is how many requests of one client wait in a room.
type waitCount struct {
	address *address
	n       int32
	index   int32 // in Gate.crowds
}

// bySize has the largest crowd on top.
type bySize struct{}

func (bySize) before(a, b *waitCount) bool { return a.n > b.n }
func (bySize) index(c *waitCount) *int32   { return &c.index }

// countWaiting notes that so many more requests of f, or fewer, wait in a room.
func (g *Gate) countWaiting(f *client, in waitingRoom, by int) {
	if by == 0 {
		return
	}
	g.waitingIn[in] += by
	f.waitingIn[in] += int32(by)
	c := &f.address.waitCounts[in]
	was := c.n
	switch c.n += int32(by); {
	case was == 0:
		g.waitCounts[in].push(c)
	case c.n == 0:
		g.waitCounts[in].remove(c)
	default:
		g.waitCounts[in].fix(c)
	}
}

// addWaiting has e be among those of its flow that wait. As long as any do, the flow is
// one of that client's.
func (g *Gate) addWaiting(e *entry) {
	f := e.client
	if f.waiting.n == 0 {
		f.address = g.addressOf(e.addressKey)
		f.address.clients.pushBack(&f.ofAddress)
	}
	e.addressKey = f.address.key
	f.waiting.pushBack(&e.ofClient)
	f.countShort(e, 1)
	g.countWaiting(f, e.waitingRoom(), 1)
}

// removeWaiting undoes moveIn.
func (g *Gate) removeWaiting(e *entry) {
	f := e.client
	g.countWaiting(f, e.waitingRoom(), -1)
	f.countShort(e, -1)
	e.ofClient.leave()
	if f.waiting.n > 0 {
		return
	}
	f.ofAddress.leave()
	g.forgetIfIdle(f.address)
	f.address = nil
}

// waitLimit is how many requests of e's flow may wait where it would: some of all that
// may, so that one flow never has all places. An address may stand for many people.
func (g *Gate) waitLimit(e *entry) int {
	size := g.cfg.LongSize
	if e.lane == Short {
		size = g.cfg.Size
	}
	switch {
	case e.client == g.anonymous:
		return size
	case e.client.shared && e.lane != Short:
		return max(g.clientLimit, size/2)
	case e.client.shared:
		return size
	}
	return max(g.clientLimit, size/4)
}

// queuesPerAddress is how many requests of one client may wait for slots before others of its
// flows have no turns of their own any more, but those of the client: else one that sends
// another cookie with each request would have as many turns as requests. What others have
// to wait for all these turns is part of what they may wait.
func (g *Gate) queuesPerAddress() int32 {
	n := g.cfg.Size / 4
	if mean := g.load.mean(); mean > 0 {
		n = min(n, int(g.cfg.Timeout.Seconds()/4*float64(g.slots)/mean))
	}
	return int32(max(2, n))
}

// clientOfAddress returns the flow that e is to wait in instead of its own, if any.
func (g *Gate) clientOfAddress(e *entry, r *Request, now time.Duration) *client {
	if e.queue != fast || e.client.shared || e.client.waiting.n > 0 || r.Address == 0 || r.Address == r.ClientKey {
		return nil
	}
	if c := g.addresses[e.addressKey]; c == nil || c.waitCounts[roomReady].n+c.waitCounts[roomUnknown].n < g.queuesPerAddress() {
		return nil
	}
	return g.clientOf(r.Address, true, now)
}

// dropFromLongest refuses the newest request of whoever has the most in a room, so that e can
// wait there: the client with the most, and of its flows the one with the most. It reports
// false if that is e's, which is the newest then.
func (g *Gate) dropFromLongest(e *entry, why Reason, now time.Duration) bool {
	in := e.waitingRoom()
	own := e.client.address
	if own == nil {
		own = g.addresses[e.addressKey] // nil: it has nothing here
	}
	c, n := own, 1
	if own != nil {
		n += int(own.waitCounts[in].n)
	}
	if most := g.waitCounts[in].first(); most != nil && int(most.n) > n {
		c, n = most.address, int(most.n)
	}
	e.ownFault = g.isFlood(n, in)
	if c == nil {
		return false
	}
	f := c.longestClient(in)
	if f == nil || c == own && f.waitingIn[in] <= e.client.waitingIn[in]+1 {
		return false
	}
	last := f.newest(in)
	last.ownFault = e.ownFault
	g.refuseWaiter(last, why, now)
	return true
}

// floodMin is how many of one client may wait without being too many.
const floodMin = 8

// isFlood reports whether so many of one client in a room are what is wrong there. They are
// no load to reckon with: it would push out long requests.
func (g *Gate) isFlood(n int, in waitingRoom) bool { return n > max(floodMin, g.waitingIn[in]/4) }

// maxLooks is how many flows of a client are looked at to find the one with the most.
const maxLooks = 256

// longestClient is the flow of c that has the most in a room.
func (c *address) longestClient(in waitingRoom) (most *client) {
	n := 0
	for l, looks := c.clients.head, 0; l != nil && looks < maxLooks; l, looks = l.next, looks+1 {
		if f := l.of; int(f.waitingIn[in]) > n {
			most, n = f, int(f.waitingIn[in])
		}
	}
	return most
}

// newest is the request of f that came last of those in a room.
func (f *client) newest(in waitingRoom) *entry {
	for l := f.waiting.tail; l != nil; l = l.prev {
		if l.of.waitingRoom() == in {
			return l.of
		}
	}
	return nil
}
