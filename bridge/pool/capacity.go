package pool

import (
	"log/slog"
	"time"
)

// growEvery is how long after an application was full it is trusted with one
// connection more, and growFast how long after that again at least: each time it is
// half as long. It costs little to be wrong: new connections are asked first.
const (
	growEvery = time.Minute
	growFast  = time.Second
)

// capacity is how many connections an instance is believed to hold. It starts at
// Config.Workers and is lowered each time the application shows that it is full,
// because somebody else may use it too, or workers may be set too high.
type capacity struct {
	now      int // at least 1, at most Config.Workers
	growAt   time.Time
	step     time.Duration // how long after growAt it grows again
	fullAt   time.Time     // when the application was last seen to be full
	closedAt time.Time     // when it last closed a new connection, which it had accepted
	logAt    time.Time     // when the log is told, with what it has come to; zero: it was, or need not be

	// proven is the most connections that have been open at once and had each got a
	// byte of answer, at least 1; answering is how many are so now. Up to there a new
	// connection is not expected to be turned away.
	proven, answering int
	freedAt           time.Time // when one of those was closed last: its thread may not be free yet
}

// lately is how long an application may take to free what a closed connection held,
// on a busy machine.
const freeWithin = time.Second

func (o *capacity) freedLately() bool {
	return !o.freedAt.IsZero() && time.Since(o.freedAt) < freeWithin
}

// Capacity is how many requests the application is believed to hold now: the sum of
// its instances, without those that are set aside, unless all are: then a request must
// find out. Those that are drained do not count, nor do processes that work on after
// their answers, but for one. It is 0 while there is no instance. It takes no lock and may
// be asked at any time.
func (p *Pool) Capacity() int { return int(p.capacity.Load()) }

// recount brings Capacity up to date. It is called wherever an instance is believed to
// hold something else, is set aside or is back, comes or goes, and where a process begins
// or ends to work on.
func (p *Pool) recount() {
	up, all := 0, 0
	for _, in := range p.instances {
		n := max(1, in.observed.now-in.count[atWork])
		all += n
		if !in.outage.aside() {
			up += n
		}
	}
	if up == 0 {
		up = all
	}
	p.capacity.Store(int64(up))
}

// rebase has what was learned of an instance hold for another Config.Workers. What was
// proven stays so.
func (o *capacity) rebase(was, workers int) {
	if o.now >= was {
		o.now = workers
	}
	o.now = min(o.now, workers)
}

// lower notes that in does not hold more than n connections, and at least one.
func (p *Pool) lower(in *instance, n int) {
	o := &in.observed
	before := o.now
	o.now = max(1, min(o.now, n))
	o.proven = min(o.proven, o.now)
	p.recount()
	if o.now == p.config().Workers {
		return
	}
	now := time.Now()
	if before == p.config().Workers {
		o.logAt = now.Add(freeWithin)
		p.schedule(o.logAt)
	}
	o.growAt, o.step = now.Add(growEvery), growEvery/2
	p.schedule(o.growAt)
}

// backlogFull notes that in accepts connections too slowly. That may be a moment's
// matter, and says little of what it holds: it is believed to hold one less, once a
// second.
func (p *Pool) backlogFull(in *instance) {
	in.counters.backlogs++
	if o := &in.observed; o.fullAt.IsZero() || time.Since(o.fullAt) >= freeWithin {
		o.fullAt = time.Now()
		p.lower(in, o.now-1)
	}
}

// foundFull notes that in closed a new connection, or ended a request, because it is
// full. That says nothing of what it can hold while it may not have noticed that a
// connection is gone. It reports whether in has answered a request lately.
func (p *Pool) foundFull(in *instance) (serving bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !in.observed.freedLately() {
		p.lower(in, in.used()-1)
	}
	return in.turnedAway()
}

// suspectFull is foundFull where that is not certain: a process that was killed looks
// the same. New connections are asked for a while, and if it is full the next one is
// certain.
func (p *Pool) suspectFull(in *instance) (serving bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return in.turnedAway()
}

func (in *instance) turnedAway() (serving bool) {
	in.counters.turnedAway++
	in.observed.fullAt = time.Now()
	in.observed.closedAt = in.observed.fullAt
	return in.servedLately(time.Minute)
}

// grow raises what in is believed to hold if it is time, and schedules the next
// time.
func (p *Pool) grow(in *instance, now time.Time) {
	o := &in.observed
	if o.now >= p.config().Workers {
		return
	}
	if !o.logAt.IsZero() && !now.Before(o.logAt) {
		o.logAt = time.Time{}
		p.log(in, slog.LevelWarn, "the application is full with fewer connections than it has workers",
			slog.Int("connections", o.now), slog.Int("workers", p.config().Workers))
	}
	if !now.Before(o.growAt) {
		o.now++
		p.recount()
		o.growAt, o.step = now.Add(o.step), max(o.step/2, growFast)
		if o.now == p.config().Workers {
			p.log(in, slog.LevelInfo, "the application is trusted with all its workers again", slog.Int("workers", o.now))
		}
	}
	if o.now < p.config().Workers {
		p.schedule(o.growAt)
	}
	if !o.logAt.IsZero() {
		p.schedule(o.logAt)
	}
}

// mayTurnAway reports whether a new connection may be closed because the application
// is full, and that would do harm: it was full lately, or the request cannot be sent
// again and the application never had so many, or may not have noticed yet that it
// has one less, or the request has met trouble before.
func (p *Pool) mayTurnAway(in *instance, d Demand) bool {
	if !p.config().ClosesWhenFull {
		return false
	}
	full := in.observed.now < p.config().Workers || !in.observed.fullAt.IsZero() && time.Since(in.observed.fullAt) < growEvery
	return full || d.NoReplay && (d.Fresh || in.used() > in.observed.proven || in.observed.freedLately())
}

// noteAnswering counts a connection on which the first byte of answer has come.
func (p *Pool) noteAnswering(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.answered {
		return
	}
	c.answered = true
	c.inst.queue.untrack(c)
	p.confirmSuspicion(c)
	o := &c.inst.observed
	o.answering++
	o.proven = max(o.proven, o.answering)
}
