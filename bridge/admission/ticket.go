package admission

// Ticket is a request's place in the gate: in a queue, if it must wait, and then in a slot. It is a
// value; copies are the same ticket. After the first Done or Release, its methods do nothing.
type Ticket struct {
	g   *Gate
	e   *entry
	seq uint64
}

// Valid reports whether t was returned by a Gate, even if it has been given back since.
func (t Ticket) Valid() bool { return t.g != nil }

// Granted reports whether t holds a slot.
func (t Ticket) Granted() bool {
	if !t.lock() {
		return false
	}
	defer t.g.mu.Unlock()
	return t.e.state == running
}

// Done gives back the slot of a request that the application has finished, whatever the answer was.
// The gate learns how long the request took.
func (t Ticket) Done() { t.leave(true) }

// Release gives back the slot of a request that the application did not finish, or may not have, or
// the place of one that waits. The gate learns only that a request was long that had become long.
func (t Ticket) Release() { t.leave(false) }

// Streaming reports that the answer is a stream of events. The request counts as long from now on.
func (t Ticket) Streaming() {
	if !t.lock() {
		return
	}
	defer t.g.mu.Unlock()
	if t.e.state == running && !t.e.aged && t.g.cfg.Lanes {
		now := t.g.now()
		t.g.detectPause(now)
		t.g.load.advance(t.g.shortInUse(), now)
		t.e.streams = true
		t.g.age(t.e, now)
		t.g.dispatch(now)
	}
}

// Abandoned reports that nobody waits for the answer any more. The request keeps its slot until the
// application has finished it.
func (t Ticket) Abandoned() {
	if !t.lock() {
		return
	}
	defer t.g.mu.Unlock()
	if t.e.state == running && !t.e.abandoned {
		t.e.abandoned = true
		t.g.abandoned++
	}
}

// At reports that the request is now sent to an instance. The time that it takes counts from here
// on, not from the grant. At may be called again.
func (t Ticket) At(instance string) {
	if !t.lock() {
		return
	}
	defer t.g.mu.Unlock()
	if t.e.state != running {
		return
	}
	t.e.instance = instance
	now := t.g.now()
	t.g.detectPause(now)
	if t.g.restartAge(t.e, now) {
		t.g.dispatch(now)
	}
}

// Lane returns the lane that the request started in, or waits in; Short after its end.
func (t Ticket) Lane() Lane {
	if !t.lock() {
		return Short
	}
	defer t.g.mu.Unlock()
	return t.e.lane
}

// lock locks the gate and reports true, or reports false if t has been given back.
func (t Ticket) lock() bool {
	if t.g == nil {
		return false
	}
	t.g.mu.Lock()
	if t.current() {
		return true
	}
	t.g.mu.Unlock()
	return false
}

// current reports whether t.e is still in the use that t is of.
func (t Ticket) current() bool { return t.e.seq == t.seq && t.e.state != unused }

func (t Ticket) leave(done bool) {
	if !t.lock() {
		return
	}
	g := t.g
	now := g.now()
	g.detectPause(now)
	if t.e.state == running {
		g.finish(t.e, done, now)
	} else {
		g.counts[t.e.lane].left++
		g.dequeue(t.e)
		g.discard(t.e)
	}
	g.dispatch(now)
	tell := len(g.reports) > 0
	g.mu.Unlock()
	if tell {
		g.deliverReports()
	}
}
