package sim

import "time"

// Result is what a run measured. Waits are those of the short requests that came until For, and end
// when a worker takes a request up.
type Result struct {
	Shorts     int     // clients with a short request, but for those that left of their own accord before it was due
	OnTime     float64 // share of them that were answered within a second
	Answered   float64 // share of them that were answered at all
	Refused    int     // refusals of short requests, each attempt counted
	P50, P99   time.Duration
	Throughput float64 // short requests answered a second
	Polls      int     // polls answered
	PollsLost  int     // polls that were refused, each attempt counted, or whose client gave up
	PollSlots  float64 // workers that polls kept on average
	MaxQueue   int     // short requests that waited at once, in the application's backlog included
	MaxParked  int     // others that waited at once
	Locked     int     // requests of the lock-bound session that were answered
	Slow       int     // slow pages that were answered
	Stalls     int     // stalls the gate found
	Grants     int     // requests the gate started
}

// Second is what happened in one second of a run.
type Second struct {
	At             time.Duration
	Arrived        int // short requests
	OnTime         int
	Late           int // answered after more than a second, or not at all
	Refused        int
	InUse          int // at its end, as all below
	Polls          int // in flight
	Waiting        int // short requests
	Parked         int // others
	Backlog        int
	LongInUse, Cap int // of a gate
	Stalled        bool
	Gate           string // what else a gate says
}

// stats is what the run itself counts, independently of the gate.
type stats struct {
	s *run

	open    int // clients that wait for the end of their request
	waiting [classes]int
	running [classes]int

	shorts, onTime, answered, inTime int
	done, lost, refusals             [classes]int
	maxQueue, maxParked, stalls      int
	grants                           int

	delays histogram

	pollsBegun int           // polls that hold a worker
	pollArea   time.Duration // integral of pollsBegun over time
	pollAt     time.Duration // until when pollArea is known

	sec Second
}

func (b *stats) quiet() bool { return b.open == 0 && b.inFlight() == 0 }

func (b *stats) inFlight() int {
	n := 0
	for _, c := range b.running {
		n += c
	}
	return n
}

func (b *stats) queued() int {
	n := 0
	for _, c := range b.waiting {
		n += c
	}
	return n
}

func (b *stats) came(r *request) {
	b.open++
	if r.class == short {
		b.sec.Arrived++
	}
}

func (b *stats) waits(r *request, n int) {
	b.waiting[r.class] += n
	b.maxQueue = max(b.maxQueue, b.waiting[short]+len(b.s.backend.backlog))
	b.maxParked = max(b.maxParked, b.queued()-b.waiting[short])
}

func (b *stats) runs(r *request, n int) {
	b.running[r.class] += n
	if n > 0 {
		b.grants++
	}
}

func (b *stats) begun(r *request) {
	switch {
	case r.class == short && !r.gone:
		b.delays.add(r.begun - r.first)
	case r.class == poll:
		b.polls(1)
	}
}

// polls adds n to the polls that hold a worker.
func (b *stats) polls(n int) {
	now := min(b.s.now, b.s.o.For)
	b.pollArea += time.Duration(b.pollsBegun) * (now - b.pollAt)
	b.pollsBegun += n
	b.pollAt = now
}

func (b *stats) refuse(r *request) {
	b.refusals[r.class]++
	if r.class == short {
		b.sec.Refused++
	}
}

func (b *stats) ended(r *request) {
	if r.class == poll {
		b.polls(-1)
	}
}

// outcome counts what a client got in the end.
func (b *stats) outcome(r *request, answer bool) {
	b.open--
	took := b.s.now - r.first
	if r.class != short {
		if answer {
			b.done[r.class]++
		} else {
			b.lost[r.class]++
		}
		return
	}
	if r.own && !answer && took <= onTime {
		return // unknown whether the answer would have been in time
	}
	b.shorts++
	if r.state != refused && r.begun == 0 {
		b.delays.add(took) // it left after it had waited so long in vain
	}
	if answer {
		b.answered++
		if b.s.now <= b.s.o.For {
			b.inTime++
		}
	}
	if answer && took <= onTime {
		b.onTime++
		b.sec.OnTime++
	} else {
		b.sec.Late++
	}
}

func (b *stats) second() {
	c := &b.sec
	c.At = b.s.now
	c.InUse, c.Polls = b.s.backend.busy, b.pollsBegun
	c.Waiting, c.Parked = b.waiting[short], b.queued()-b.waiting[short]
	c.Backlog = len(b.s.backend.backlog)
	c.Stalled = b.s.backend.stalled()
	if b.s.o.Trace != nil {
		b.s.policy.trace(c)
		b.s.o.Trace(*c)
	}
	b.sec = Second{}
}

func (b *stats) result() Result {
	share := func(n int) float64 { return float64(n) / float64(max(b.shorts, 1)) }
	seconds := b.s.o.For.Seconds()
	return Result{
		Shorts: b.shorts, OnTime: share(b.onTime), Answered: share(b.answered), Refused: b.refusals[short],
		P50: b.delays.quantile(0.50), P99: b.delays.quantile(0.99), Throughput: float64(b.inTime) / seconds,
		Polls: b.done[poll], PollsLost: b.lost[poll],
		PollSlots: b.pollArea.Seconds() / seconds,
		MaxQueue:  b.maxQueue, MaxParked: b.maxParked,
		Locked: b.done[lockBound], Slow: b.done[slow],
		Stalls: b.stalls, Grants: b.grants,
	}
}
