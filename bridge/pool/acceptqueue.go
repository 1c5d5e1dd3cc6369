package pool

import (
	"log/slog"
	"slices"
	"time"
)

// A process of PHP, and of other servers that fork in advance, holds a connection until it
// is closed, used or not. New connections wait in the accept queue of the listening socket.
// If there are fewer processes than Config.Workers, or others use them, too, a request may
// wait there while idle connections are kept. So some of these are closed: idle connections
// are shed.
const (
	// queueCheckEvery is how often the queue is read while a request may wait in it. That
	// takes about 0.1 ms.
	queueCheckEvery = 250 * time.Millisecond
	// queueRetryAfter is when the queue is read again after an error. It may be on another
	// machine.
	queueRetryAfter = time.Minute
	// shedEvery is the least time between two times of shedding.
	shedEvery = time.Second
	// logEvery is how long nothing must have been shed before the log is told again.
	logEvery = 10 * time.Minute
)

// acceptQueue is what is known of the connections to an instance that the application has
// not accepted.
type acceptQueue struct {
	awaiting int       // leased connections on which nothing has come yet: they may be in the queue
	checkAt  time.Time // when the queue is checked next; zero: not at all, or it is being read
	checking bool      // it is being read
	waited   bool      // at the last check, one of awaiting may have been in it; false if awaiting is 0
	toShed   int       // connections to close as soon as nobody uses them; at most awaiting
	shedAt   time.Time // when connections were shed last

	unknownUntil time.Time     // after an error, until when the queue is not read
	suspectedAt  time.Time     // when connections were shed on suspicion last
	suspectPause time.Duration // how long that is not done again
}

// track counts a new connection that was given to a request.
func (q *acceptQueue) track(c *conn) {
	if !c.awaiting {
		c.awaiting, c.usedAt = true, time.Now()
		q.awaiting++
	}
}

// untrack notes that something has come on a connection, or that it is closed.
func (q *acceptQueue) untrack(c *conn) {
	if c.awaiting {
		c.awaiting = false
		q.awaiting--
		q.toShed = min(q.toShed, q.awaiting)
		q.waited = q.waited && q.awaiting > 0
	}
}

// scheduleQueueCheck schedules the next check, if a connection may be in the queue.
func (p *Pool) scheduleQueueCheck(in *instance) {
	q, auto := &in.queue, p.config().KeepAlive == KeepAuto
	if q.awaiting == 0 || in.Queue == nil && !auto || q.checking || !q.checkAt.IsZero() {
		return
	}
	q.checkAt = time.Now().Add(queueCheckEvery)
	if in.keep.state == keepTrial {
		q.checkAt = time.Now().Add(trialTimeout)
	}
	if !auto && q.checkAt.Before(q.unknownUntil) {
		q.checkAt = q.unknownUntil
	}
	p.schedule(q.checkAt)
}

// checkQueue starts to read the queue if it is time, and if there are other connections than
// those that may be in the queue.
func (p *Pool) checkQueue(in *instance, now time.Time) {
	q := &in.queue
	switch {
	case q.checkAt.IsZero():
		return
	case now.Before(q.checkAt):
		p.schedule(q.checkAt)
		return
	}
	q.checkAt = time.Time{}
	switch {
	case q.awaiting == 0 || in.conns() == 1:
		q.waited = false
	case in.Queue == nil || now.Before(q.unknownUntil):
		p.shedOnSuspicion(in, now)
		p.scheduleQueueCheck(in)
	default:
		q.checking = true
		p.tasks.Go(func() { p.readQueue(in) })
	}
}

// readQueue reads the queue, and sheds idle connections if new ones wait.
func (p *Pool) readQueue(in *instance) {
	depth, _, err := in.Queue()
	p.mu.Lock()
	in.queue.checking = false
	if err == nil {
		p.shedIdle(in, depth)
	} else {
		in.queue.waited, in.queue.toShed = false, 0
		in.queue.unknownUntil = time.Now().Add(queueRetryAfter)
	}
	p.scheduleQueueCheck(in)
	p.unlock()
}

// shedIdle sheds as many connections as may wait in the queue, if some did at the last
// check, too: idle ones at once, others when they are recycled. Each leaves a process that
// accepts one from the queue. It does so once in shedEvery.
func (p *Pool) shedIdle(in *instance, depth int) {
	q, now := &in.queue, time.Now()
	depth = min(depth, q.awaiting) // the others are not ours
	before := q.waited
	q.waited, q.toShed = depth > 0, min(q.toShed, depth)
	if p.config().KeepAlive == KeepAuto && q.waited && (in.keep.state == keepTrial || before && in.hasExclusiveIdle()) {
		p.stopKeeping(in, "new connections waited to be accepted while unused ones were kept")
		return
	}
	if !before || !q.waited || now.Sub(q.shedAt) < shedEvery {
		return
	}
	if now.Sub(q.shedAt) >= logEvery {
		p.log(in, slog.LevelWarn, "new connections wait to be accepted, and kept ones are given up for them: "+
			"the application does not answer just now, has fewer workers than configured, starts them late, or others use them, too",
			slog.Int("waiting", depth), slog.Int("connections", in.conns()), slog.Int("workers", p.config().Workers),
			slog.String("advice", "set workers (--workers) to what the application has, and see that nobody else uses it"))
	}
	q.shedAt, q.toShed = now, depth
	for q.toShed > 0 && len(in.idle) > 0 {
		p.shedOne(in.idle[0])
	}
}

// shedOne closes a connection that nobody uses, because another waits to be accepted.
func (p *Pool) shedOne(c *conn) {
	c.inst.queue.toShed--
	c.inst.counters.ShedIdle++
	p.evict(c)
}

// hasExclusiveIdle reports whether there is an idle connection that is not shared.
func (in *instance) hasExclusiveIdle() bool {
	return slices.ContainsFunc(in.idle, func(c *conn) bool { return c.mux == nil })
}

const (
	// suspectWithin is how soon after connections were shed on suspicion an answer on a new
	// connection must come to confirm the suspicion.
	suspectWithin = 250 * time.Millisecond
	// suspectPauseMax is the longest pause between two suspicions.
	suspectPauseMax = time.Minute
)

// shedOnSuspicion is readQueue where the queue cannot be read: it sheds the idle connections
// if nothing has come on a new one. If an answer comes then, the suspicion was right
// (confirmSuspicion). Otherwise the application is slow, and the next suspicion is later.
func (p *Pool) shedOnSuspicion(in *instance, now time.Time) {
	q := &in.queue
	if p.config().KeepAlive != KeepAuto || !in.hasExclusiveIdle() || now.Sub(q.suspectedAt) < q.suspectPause {
		return
	}
	q.suspectedAt, q.suspectPause = now, min(max(2*q.suspectPause, shedEvery), suspectPauseMax)
	in.counters.ShedIdle += uint64(p.evictExclusive(in))
}

// confirmSuspicion is called when something has come on a new connection.
func (p *Pool) confirmSuspicion(c *conn) {
	if q := &c.inst.queue; c.usedAt.Before(q.suspectedAt) && time.Since(q.suspectedAt) < suspectWithin {
		q.suspectedAt, q.suspectPause = time.Time{}, 0
		p.setKeepState(c.inst, keepRefused, "new connections were answered only when the unused ones were closed")
	}
}
