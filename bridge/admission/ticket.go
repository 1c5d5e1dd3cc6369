package admission

// Ticket is a request's place in the gate: in a queue first, perhaps, then in a
// slot. It is a value; copies are the same ticket. After the first Done or Release
// it does nothing any more.
type Ticket struct {
	g   *Gate
	e   *entry
	seq uint64
}

// Valid reports whether t was ever a place, given up or not.
func (t Ticket) Valid() bool { return t.g != nil }

// Granted reports whether t holds a slot.
func (t Ticket) Granted() bool {
	if t.g == nil {
		return false
	}
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	return t.current() && t.e.state == running
}

// Done frees the slot after the application has finished with the request, whatever
// its answer was: how long it took is learned.
func (t Ticket) Done() { t.leave(true) }

// Release frees the slot of a request that the application did not finish, as far
// as is known, or the place of one that waits. Nothing is learned, but that one
// which was long by then was long.
func (t Ticket) Release() { t.leave(false) }

// Streaming says that the answer is a stream of events: the request is long from
// now on.
func (t Ticket) Streaming() {
	if t.g == nil {
		return
	}
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	if t.current() && t.e.state == running && !t.e.aged && t.g.cfg.Lanes {
		now := t.g.now()
		t.g.detectPause(now)
		t.g.load.advance(t.g.shortInUse(), now)
		t.e.streams = true
		t.g.age(t.e, now)
		t.g.dispatch(now)
	}
}

// At says that the request is sent now, and where. What it takes counts from here
// on, not from its grant; called again, from there.
func (t Ticket) At(instance string) {
	if t.g == nil {
		return
	}
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	if !t.current() || t.e.state != running {
		return
	}
	t.e.instance = instance
	now := t.g.now()
	t.g.detectPause(now)
	if t.g.restartAge(t.e, now) {
		t.g.dispatch(now)
	}
}

// Lane is what the request was started as, or waits as; Short after its end.
func (t Ticket) Lane() Lane {
	if t.g == nil {
		return Short
	}
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	if !t.current() {
		return Short
	}
	return t.e.lane
}

// current reports whether the entry is still this ticket's.
func (t Ticket) current() bool { return t.e.seq == t.seq && t.e.state != unused }

func (t Ticket) leave(done bool) {
	if t.g == nil {
		return
	}
	g := t.g
	g.mu.Lock()
	if !t.current() {
		g.mu.Unlock()
		return
	}
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
