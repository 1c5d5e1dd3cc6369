package admission

import "time"

// waitingRoom is a bounded set of waiting requests.
type waitingRoom uint8

const (
	roomReady   waitingRoom = iota // short requests that wait for a slot
	roomUnknown                    // unknown requests
	roomParked                     // mixed and long requests, and short ones that wait for others of their client
	rooms
)

// waitingRoom returns the room that e waits in, or is about to.
func (e *entry) waitingRoom() waitingRoom {
	switch {
	case e.lane == Unknown:
		return roomUnknown
	case e.lane != Short, e.client.isThrottled(fast):
		return roomParked
	}
	return roomReady
}

// waitCount is how many requests of one address wait in a room.
type waitCount struct {
	address *address
	n       int32
	index   int32 // in Gate.waitCounts
}

// bySize orders a heap: the address with the most waiting requests is at its top.
type bySize struct{}

func (bySize) before(a, b *waitCount) bool { return a.n > b.n }
func (bySize) index(c *waitCount) *int32   { return &c.index }

// countWaiting adds by to the requests of c that wait in a room.
func (g *Gate) countWaiting(c *client, in waitingRoom, by int) {
	if by == 0 {
		return
	}
	g.waitingIn[in] += by
	c.waitingIn[in] += int32(by)
	count := &c.address.waitCounts[in]
	was := count.n
	switch count.n += int32(by); {
	case was == 0:
		g.waitCounts[in].push(count)
	case count.n == 0:
		g.waitCounts[in].remove(count)
	default:
		g.waitCounts[in].fix(count)
	}
}

// addWaiting adds e to the waiting requests of its client. While a client has waiting requests, all
// of them count for the address of the first.
func (g *Gate) addWaiting(e *entry) {
	c := e.client
	if c.waiting.n == 0 {
		c.address = g.addressOf(e.addressKey)
		c.address.clients.pushBack(&c.ofAddress)
	}
	e.addressKey = c.address.key
	c.waiting.pushBack(&e.ofClient)
	g.counts[e.lane].waiting++
	c.countShort(e, 1)
	g.countWaiting(c, e.waitingRoom(), 1)
}

// removeWaiting undoes addWaiting.
func (g *Gate) removeWaiting(e *entry) {
	c := e.client
	g.countWaiting(c, e.waitingRoom(), -1)
	c.countShort(e, -1)
	g.counts[e.lane].waiting--
	e.ofClient.leave()
	if c.waiting.n > 0 {
		return
	}
	c.ofAddress.leave()
	g.forgetIfIdle(c.address)
	c.address = nil
}

// waitLimit is how many requests of e's client may wait in e's lane: a part of the room, so that
// one client never fills it. A shared client may stand for many people and has a larger part.
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

// queuesPerAddress is how many requests of an address may wait for slots before new clients of the
// address get no queue of their own, but share the address's. Without this limit, an address that
// sends another cookie with each request would have a turn for each request, and every other client
// would wait for all these turns.
func (g *Gate) queuesPerAddress() int32 {
	n := g.cfg.Size / 4
	if mean := g.load.mean(); mean > 0 {
		n = min(n, int(g.cfg.Timeout.Seconds()/4*float64(g.slots)/mean))
	}
	return int32(max(2, n))
}

// clientOfAddress returns the client in whose queue e must wait instead of its own client's, nil if
// e may wait in its own.
func (g *Gate) clientOfAddress(e *entry, r *Request, now time.Duration) *client {
	if e.queue != fast || e.client.shared || e.client.waiting.n > 0 || r.Address == 0 || r.Address == r.ClientKey {
		return nil
	}
	if c := g.addresses[e.addressKey]; c == nil || c.waitCounts[roomReady].n+c.waitCounts[roomUnknown].n < g.queuesPerAddress() {
		return nil
	}
	return g.clientOf(r.Address, r.AddressName, true, now)
}

// dropFromLongest makes room for e: it refuses the newest request in the room of the address that
// has the most requests there, and of that address's client that has the most. If that request
// would be e, it refuses nothing and reports false.
func (g *Gate) dropFromLongest(e *entry, why Reason, now time.Duration) bool {
	in := e.waitingRoom()
	own := e.client.address
	if own == nil {
		own = g.addresses[e.addressKey] // nil: the address has nothing in the gate
	}
	a, n := own, 1
	if own != nil {
		n += int(own.waitCounts[in].n)
	}
	if most := g.waitCounts[in].first(); most != nil && int(most.n) > n {
		a, n = most.address, int(most.n)
	}
	e.ownFault = g.isFlood(n, in)
	if a == nil {
		return false
	}
	c := a.longestClient(in)
	if c == nil || a == own && c.waitingIn[in] <= e.client.waitingIn[in]+1 {
		return false
	}
	last := c.newest(in)
	last.ownFault = e.ownFault
	g.refuseWaiter(last, why, now)
	return true
}

// floodMin is how many requests of one address may wait in a room without being a flood.
const floodMin = 8

// isFlood reports whether n requests of one address in a room are why the room is full. A flood
// does not count as load of short requests: it would take the slots of long ones.
func (g *Gate) isFlood(n int, in waitingRoom) bool { return n > max(floodMin, g.waitingIn[in]/4) }

// maxLooks bounds how many clients of an address longestClient looks at.
const maxLooks = 256

// longestClient returns the client of a that has the most requests in a room.
func (a *address) longestClient(in waitingRoom) (most *client) {
	n := 0
	for l, looks := a.clients.head, 0; l != nil && looks < maxLooks; l, looks = l.next, looks+1 {
		if c := l.of; int(c.waitingIn[in]) > n {
			most, n = c, int(c.waitingIn[in])
		}
	}
	return most
}

// newest returns the last request of c that came into a room.
func (c *client) newest(in waitingRoom) *entry {
	for l := c.waiting.tail; l != nil; l = l.prev {
		if l.of.waitingRoom() == in {
			return l.of
		}
	}
	return nil
}
