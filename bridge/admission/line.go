package admission

// line is where requests wait for others of their route (or group) to end. Clients take
// turns: one request of each, then the second of each, and so on, whatever one client
// has brought.
type line struct {
	waiting heap[entry, byTurn]
	turn    int // that of the request which left last
}

func (l *line) n() int { return len(l.waiting) }

func (l *line) first() *entry { return l.waiting.first() }

// add puts e where its client's next turn is. One that was there before, and was let go
// in vain, has the turn it had.
func (l *line) add(e *entry) {
	c := e.flow.home
	if e.lined != l {
		e.turn = l.turn + 1 + c.lined
	}
	e.lined, e.in = l, l
	c.lined++
	l.waiting.push(e)
}

func (l *line) remove(e *entry) {
	if e.placeInLine == 0 {
		l.turn = max(l.turn, e.turn)
	}
	l.waiting.remove(e)
	e.in = nil
	e.flow.home.lined--
}

// byTurn orders a line.
type byTurn struct{}

func (byTurn) before(a, b *entry) bool {
	return a.turn < b.turn || a.turn == b.turn && a.before(b)
}

func (byTurn) index(e *entry) *int32 { return &e.placeInLine }
