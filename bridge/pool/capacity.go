package pool

import (
	"log/slog"
	"time"
)

// growEvery is how long after an application was full it is believed to hold one connection
// more. The next times are each half as long, down to growFast. A mistake costs little: a
// query is sent on new connections first.
const (
	growEvery = time.Minute
	growFast  = time.Second
)

// capacity is how many connections an instance is believed to hold. It begins at
// Config.Workers and is lowered when the application shows that it is full: others may use
// it, too, or Workers may be too high.
type capacity struct {
	now      int // at least 1, at most Config.Workers
	growAt   time.Time
	step     time.Duration // from growAt to the next time
	fullAt   time.Time     // when the application was last seen to be full
	closedAt time.Time     // when it last closed a new connection because it was full
	logAt    time.Time     // when the log is told of now; zero: not at all

	// answering is how many connections there are on each of which an answer has begun, and
	// proven the most there have been, at least 1. Up to there a new connection is not
	// expected to be turned away.
	proven, answering int
	freedAt           time.Time // when one of these was closed last: its thread may not be free yet
}

// freeWithin is how long an application on a busy machine may take to free the thread of a
// closed connection.
const freeWithin = time.Second

func (o *capacity) freedLately() bool {
	return !o.freedAt.IsZero() && time.Since(o.freedAt) < freeWithin
}

// Capacity is how many requests the application is believed to hold now: the sum over the
// instances that are serving. Instances that are set aside do not count, unless all are.
// Processes that work on after their answers do not count, but each instance counts as one
// at least. It is 0 while there is no instance. It takes no lock.
func (p *Pool) Capacity() int { return int(p.capacity.Load()) }

// recount updates Capacity. It is called wherever something changes that Capacity depends
// on.
func (p *Pool) recount() {
	up, all := 0, 0
	for _, in := range p.instances {
		n := max(1, in.most()-in.count[atWork])
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

// rebase changes Config.Workers. What is proven stays.
func (o *capacity) rebase(was, workers int) {
	if o.now >= was {
		o.now = workers
	}
	o.now = min(o.now, workers)
}

// toldFull reports whether the log and Config.OnCapacity were told that there is room for fewer than
// workers, and not that this is over.
func (o *capacity) toldFull(workers int) bool { return o.now < workers && o.logAt.IsZero() }

// lower notes that in does not hold more than n connections, or more than one if n is less.
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

// backlogFull notes that in accepts connections too slowly. That may pass in a moment, and
// says little about its capacity: it is believed to hold one less, once in freeWithin.
func (p *Pool) backlogFull(in *instance) {
	in.counters.BacklogFull++
	if o := &in.observed; o.fullAt.IsZero() || time.Since(o.fullAt) >= freeWithin {
		o.fullAt = time.Now()
		p.lower(in, o.now-1)
	}
}

// foundFull notes that in closed a new connection, or ended a request, because it is full.
// That says nothing about its capacity if it may not have noticed yet that a connection was
// closed. It reports whether in has answered a request lately.
func (p *Pool) foundFull(in *instance) (serving bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !in.observed.freedLately() {
		p.lower(in, in.used()-1)
	}
	return in.turnedAway()
}

// suspectFull is foundFull where the process may have been killed instead. Queries are sent
// on new connections for a while; if in is full, the next one is certain.
func (p *Pool) suspectFull(in *instance) (serving bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return in.turnedAway()
}

func (in *instance) turnedAway() (serving bool) {
	in.counters.TurnedAway++
	in.observed.fullAt = time.Now()
	in.observed.closedAt = in.observed.fullAt
	return in.servedLately(time.Minute)
}

// grow raises the capacity of in if it is time, and schedules the next time.
func (p *Pool) grow(in *instance, now time.Time) {
	o := &in.observed
	if o.now >= p.config().Workers {
		return
	}
	if !o.logAt.IsZero() && !now.Before(o.logAt) {
		o.logAt = time.Time{}
		p.tellCapacity(in)
		p.log(in, slog.LevelWarn, "the application is full with fewer connections than it has workers",
			slog.Int("connections", o.now), slog.Int("workers", p.config().Workers), slog.String("advice", "set workers (--workers) to what the application has, and see that nobody else uses it"))
	}
	if !now.Before(o.growAt) {
		o.now++
		p.recount()
		o.growAt, o.step = now.Add(o.step), max(o.step/2, growFast)
		if o.now == p.config().Workers {
			p.tellCapacity(in)
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

// mayTurnAway reports whether the application may close a new connection because it is
// full, and that would do harm. It was full lately. Or the request cannot be sent again, and
// one of these holds: it was sent on a closed connection before, the application never held
// so many connections, or it may not have noticed yet that one was closed.
func (p *Pool) mayTurnAway(in *instance, d Demand) bool {
	if !p.config().ClosesWhenFull {
		return false
	}
	full := in.observed.now < p.config().Workers || !in.observed.fullAt.IsZero() && time.Since(in.observed.fullAt) < growEvery
	return full || d.NoReplay && (d.Fresh || in.used() > in.observed.proven || in.observed.freedLately())
}

// noteAnswering notes that an answer has begun on c.
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
