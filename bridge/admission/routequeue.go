package admission

// routeQueue is where requests wait for others of their route (or group) to end. Clients take
// turns: one request of each, then the second of each, and so on, whatever one client
// has brought.
type routeQueue struct {
	waiting heap[entry, byRound]
	round   int // that of the request which left last
}

func (l *routeQueue) n() int { return len(l.waiting) }

func (l *routeQueue) first() *entry { return l.waiting.first() }

// add puts e where its client's next turn is. One that was there before, and was let go
// in vain, has the turn it had.
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

// byRound orders a line.
type byRound struct{}

func (byRound) before(a, b *entry) bool {
	return a.round < b.round || a.round == b.round && a.before(b)
}

func (byRound) index(e *entry) *int32 { return &e.roundIndex }
