package pool

import (
	"log/slog"
	"slices"
	"time"
)

// A process of PHP, and of other servers that fork beforehand, keeps a connection until
// it is closed, used or not, and new ones wait in the listening socket's accept queue
// meanwhile. If there are fewer processes than Config.Workers, or others use them, too,
// a request waits there while connections are kept that nobody needs, or only those who
// came later.
const (
	// lookEvery is how often the queue is looked at while a request may wait in it. A
	// look takes 0.1 ms or so.
	queueCheckEvery = 250 * time.Millisecond
	// lookAgain is when it is looked at after it could not be. It may be on another
	// machine.
	queueRetryAfter = time.Minute
	// yieldEvery is how long it must be between the times that connections are given up
	// for it.
	shedEvery = time.Second
	// tellEvery is how long no connection must have been given up for the log to be told
	// of the next.
	logEvery = 10 * time.Minute
)

// acceptQueue is what is known of the connections to an instance that nobody has
// accepted.
type acceptQueue struct {
	awaiting int       // leased connections on which nothing has come yet: they may be in it
	checkAt  time.Time // when it is looked at next; zero: it need not be, or it is being
	checking bool      // it is being looked at
	waited   bool      // one of ours may have been in it at the last look; false if unheard is 0
	toShed   int       // connections to close for it as soon as nobody uses them; at most unheard
	shedAt   time.Time // when connections were given up for it last

	unknownUntil time.Time     // it could not be looked at; until when that is not tried again
	suspectedAt  time.Time     // when connections were given up last because it might be so (guess)
	suspectPause time.Duration // how long that is not done again
}

// expect counts a connection that a request was given new.
func (q *acceptQueue) track(c *conn) {
	if !c.awaiting {
		c.awaiting, c.usedAt = true, time.Now()
		q.awaiting++
	}
}

// hear notes that something has come on a connection, or that it is given up.
func (q *acceptQueue) untrack(c *conn) {
	if c.awaiting {
		c.awaiting = false
		q.awaiting--
		q.toShed = min(q.toShed, q.awaiting)
		q.waited = q.waited && q.awaiting > 0
	}
}

// watch has the queue looked at in a while if one of ours may be in it.
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

// glance starts a look at the queue if it is time, one of ours may be in it, and not
// all there are.
func (p *Pool) checkQueue(in *instance, now time.Time) (toClose []*conn) {
	q := &in.queue
	switch {
	case q.checkAt.IsZero():
		return nil
	case now.Before(q.checkAt):
		p.schedule(q.checkAt)
		return nil
	}
	q.checkAt = time.Time{}
	switch {
	case q.awaiting == 0 || in.conns() == 1:
		q.waited = false
	case in.Queue == nil || now.Before(q.unknownUntil):
		toClose = p.shedOnSuspicion(in, now)
		p.scheduleQueueCheck(in)
	default:
		q.checking = true
		p.tasks.Go(func() { p.readQueue(in) })
	}
	return toClose
}

// look looks at the queue and does something about it.
func (p *Pool) readQueue(in *instance) {
	depth, _, err := in.Queue()
	p.mu.Lock()
	in.queue.checking = false
	var toClose []*conn
	if err == nil {
		toClose = p.shedIdle(in, depth)
		p.scheduleQueueCheck(in)
	} else {
		in.queue.waited, in.queue.toShed = false, 0
		in.queue.unknownUntil = time.Now().Add(queueRetryAfter)
		p.scheduleQueueCheck(in)
	}
	p.mu.Unlock()
	p.closeAll(toClose)
}

// yield gives up as many connections as may wait in the queue, if some did at the last
// look, too: at once if they are idle, else when they are handed back. Each leaves a
// process that takes one from the queue. It does so once in yieldEvery, whatever the
// queue holds then.
func (p *Pool) shedIdle(in *instance, depth int) (toClose []*conn) {
	q, now := &in.queue, time.Now()
	depth = min(depth, q.awaiting) // the others are not ours
	before := q.waited
	q.waited, q.toShed = depth > 0, min(q.toShed, depth)
	if p.config().KeepAlive == KeepAuto && q.waited && (in.keep.state == keepTrial || before && in.hasExclusiveIdle()) {
		return p.stopKeeping(in, "new connections waited to be accepted while unused ones were kept")
	}
	if !before || !q.waited || now.Sub(q.shedAt) < shedEvery {
		return nil
	}
	if now.Sub(q.shedAt) >= logEvery {
		p.log(in, slog.LevelWarn, "new connections wait to be accepted, and kept ones are given up for them: "+
			"the application does not answer just now, has fewer workers than configured, starts them late, or others use them, too",
			slog.Int("waiting", depth), slog.Int("connections", in.conns()), slog.Int("workers", p.config().Workers))
	}
	q.shedAt, q.toShed = now, depth
	for q.toShed > 0 && len(in.idle) > 0 {
		toClose = append(toClose, p.shedOne(in.idle[0]))
	}
	return toClose
}

// pay takes out a connection that nobody uses any more, for closing: another waits to
// be accepted.
func (p *Pool) shedOne(c *conn) *conn {
	c.inst.queue.toShed--
	c.inst.counters.shedIdle++
	c.evicted = true
	return p.takeIdle(c)
}

// ownIdle reports whether there is an idle connection that requests have to themselves.
func (in *instance) hasExclusiveIdle() bool {
	return slices.ContainsFunc(in.idle, func(c *conn) bool { return c.mux == nil })
}

const (
	// guessWithin is how soon after unused connections were closed an answer on a new one
	// must come to be taken for what follows from that.
	suspectWithin   = 250 * time.Millisecond
	suspectPauseMax = time.Minute
)

// guess is look and yield where nobody can see whether new connections wait to be
// accepted: it closes the unused ones if something has not come on a new one. If it comes
// then (noteGuess), that was why. Else it is not done again so soon: the application takes
// its time.
func (p *Pool) shedOnSuspicion(in *instance, now time.Time) (toClose []*conn) {
	q := &in.queue
	if p.config().KeepAlive != KeepAuto || !in.hasExclusiveIdle() || now.Sub(q.suspectedAt) < q.suspectPause {
		return nil
	}
	q.suspectedAt, q.suspectPause = now, min(max(2*q.suspectPause, shedEvery), suspectPauseMax)
	toClose = p.evictExclusive(in)
	in.counters.shedIdle += uint64(len(toClose))
	return toClose
}

// noteGuess notes that something has come on a new connection.
func (p *Pool) confirmSuspicion(c *conn) {
	if q := &c.inst.queue; c.usedAt.Before(q.suspectedAt) && time.Since(q.suspectedAt) < suspectWithin {
		q.suspectedAt, q.suspectPause = time.Time{}, 0
		p.setKeepState(c.inst, keepRefused, "new connections were answered only when the unused ones were closed")
	}
}
