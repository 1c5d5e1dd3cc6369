package admission

// routeQueue is the queue in which requests wait for others of their route (or group) to end. It
// serves addresses in rounds: one request of each address, then the second of each, and so on,
// however many requests one address has.
type routeQueue struct {
	waiting heap[entry, byRound]
	round   int // the round of the request that left last
}

func (l *routeQueue) n() int { return len(l.waiting) }

func (l *routeQueue) first() *entry { return l.waiting.first() }

// add adds e to the next round of its address. A request that comes back, because it could not
// start, keeps its round.
func (l *routeQueue) add(e *entry) {
	c := e.client.address
	if e.lastRouteQueue != l {
		e.round = l.round + 1 + c.blocked
	}
	e.lastRouteQueue, e.routeQueue = l, l
	c.blocked++
	l.waiting.push(e)
}

func (l *routeQueue) remove(e *entry) {
	if e.roundIndex == 0 {
		l.round = max(l.round, e.round)
	}
	l.waiting.remove(e)
	e.routeQueue = nil
	e.client.address.blocked--
}

// byRound orders a routeQueue.
type byRound struct{}

func (byRound) before(a, b *entry) bool {
	return a.round < b.round || a.round == b.round && a.before(b)
}

func (byRound) index(e *entry) *int32 { return &e.roundIndex }
