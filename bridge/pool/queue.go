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
	lookEvery = 250 * time.Millisecond
	// lookAgain is when it is looked at after it could not be. It may be on another
	// machine.
	lookAgain = time.Minute
	// yieldEvery is how long it must be between the times that connections are given up
	// for it.
	yieldEvery = time.Second
	// tellEvery is how long no connection must have been given up for the log to be told
	// of the next.
	tellEvery = 10 * time.Minute
)

// acceptQueue is what is known of the connections to an instance that nobody has
// accepted.
type acceptQueue struct {
	unheard   int       // leased connections on which nothing has come yet: they may be in it
	lookAt    time.Time // when it is looked at next; zero: it need not be, or it is being
	looking   bool      // it is being looked at
	waited    bool      // one of ours may have been in it at the last look; false if unheard is 0
	owed      int       // connections to close for it as soon as nobody uses them; at most unheard
	yieldedAt time.Time // when connections were given up for it last

	unseenUntil time.Time     // it could not be looked at; until when that is not tried again
	guessedAt   time.Time     // when connections were given up last because it might be so (guess)
	guessPause  time.Duration // how long that is not done again
}

// expect counts a connection that a request was given new.
func (q *acceptQueue) expect(c *conn) {
	if !c.unheard {
		c.unheard, c.usedAt = true, time.Now()
		q.unheard++
	}
}

// hear notes that something has come on a connection, or that it is given up.
func (q *acceptQueue) hear(c *conn) {
	if c.unheard {
		c.unheard = false
		q.unheard--
		q.owed = min(q.owed, q.unheard)
		q.waited = q.waited && q.unheard > 0
	}
}

// watch has the queue looked at in a while if one of ours may be in it.
func (p *Pool) watch(in *instance) {
	q, auto := &in.queue, p.config().KeepAlive == KeepAuto
	if q.unheard == 0 || in.Queue == nil && !auto || q.looking || !q.lookAt.IsZero() {
		return
	}
	q.lookAt = time.Now().Add(lookEvery)
	if in.keep.state == trial {
		q.lookAt = time.Now().Add(besideWithin)
	}
	if !auto && q.lookAt.Before(q.unseenUntil) {
		q.lookAt = q.unseenUntil
	}
	p.schedule(q.lookAt)
}

// glance starts a look at the queue if it is time, one of ours may be in it, and not
// all there are.
func (p *Pool) glance(in *instance, now time.Time) (victims []*conn) {
	q := &in.queue
	switch {
	case q.lookAt.IsZero():
		return nil
	case now.Before(q.lookAt):
		p.schedule(q.lookAt)
		return nil
	}
	q.lookAt = time.Time{}
	switch {
	case q.unheard == 0 || in.conns() == 1:
		q.waited = false
	case in.Queue == nil || now.Before(q.unseenUntil):
		victims = p.guess(in, now)
		p.watch(in)
	default:
		q.looking = true
		p.tasks.Go(func() { p.look(in) })
	}
	return victims
}

// look looks at the queue and does something about it.
func (p *Pool) look(in *instance) {
	depth, _, err := in.Queue()
	p.mu.Lock()
	in.queue.looking = false
	var victims []*conn
	if err == nil {
		victims = p.yield(in, depth)
		p.watch(in)
	} else {
		in.queue.waited, in.queue.owed = false, 0
		in.queue.unseenUntil = time.Now().Add(lookAgain)
		p.watch(in)
	}
	p.mu.Unlock()
	p.closeAll(victims)
}

// yield gives up as many connections as may wait in the queue, if some did at the last
// look, too: at once if they are idle, else when they are handed back. Each leaves a
// process that takes one from the queue. It does so once in yieldEvery, whatever the
// queue holds then.
func (p *Pool) yield(in *instance, depth int) (victims []*conn) {
	q, now := &in.queue, time.Now()
	depth = min(depth, q.unheard) // the others are not ours
	before := q.waited
	q.waited, q.owed = depth > 0, min(q.owed, depth)
	if p.config().KeepAlive == KeepAuto && q.waited && (in.keep.state == trial || before && in.ownIdle()) {
		return p.giveUpKeeping(in, "new connections waited to be accepted while unused ones were kept")
	}
	if !before || !q.waited || now.Sub(q.yieldedAt) < yieldEvery {
		return nil
	}
	if now.Sub(q.yieldedAt) >= tellEvery {
		p.log(in, slog.LevelWarn, "new connections wait to be accepted, and kept ones are given up for them: "+
			"the application does not answer just now, has fewer workers than configured, starts them late, or others use them, too",
			slog.Int("waiting", depth), slog.Int("connections", in.conns()), slog.Int("workers", p.config().Workers))
	}
	q.yieldedAt, q.owed = now, depth
	for q.owed > 0 && len(in.idle) > 0 {
		victims = append(victims, p.pay(in.idle[0]))
	}
	return victims
}

// pay takes out a connection that nobody uses any more, for closing: another waits to
// be accepted.
func (p *Pool) pay(c *conn) *conn {
	c.inst.queue.owed--
	c.inst.counters.yielded++
	c.evicted = true
	return p.drop(c)
}

// ownIdle reports whether there is an idle connection that requests have to themselves.
func (in *instance) ownIdle() bool {
	return slices.ContainsFunc(in.idle, func(c *conn) bool { return c.mux == nil })
}

const (
	// guessWithin is how soon after unused connections were closed an answer on a new one
	// must come to be taken for what follows from that.
	guessWithin = 250 * time.Millisecond
	guessMax    = time.Minute
)

// guess is look and yield where nobody can see whether new connections wait to be
// accepted: it closes the unused ones if something has not come on a new one. If it comes
// then (noteGuess), that was why. Else it is not done again so soon: the application takes
// its time.
func (p *Pool) guess(in *instance, now time.Time) (victims []*conn) {
	q := &in.queue
	if p.config().KeepAlive != KeepAuto || !in.ownIdle() || now.Sub(q.guessedAt) < q.guessPause {
		return nil
	}
	q.guessedAt, q.guessPause = now, min(max(2*q.guessPause, yieldEvery), guessMax)
	victims = p.evictOwn(in)
	in.counters.yielded += uint64(len(victims))
	return victims
}

// noteGuess notes that something has come on a new connection.
func (p *Pool) noteGuess(c *conn) {
	if q := &c.inst.queue; c.usedAt.Before(q.guessedAt) && time.Since(q.guessedAt) < guessWithin {
		q.guessedAt, q.guessPause = time.Time{}, 0
		p.becomes(c.inst, refused, "new connections were answered only when the unused ones were closed")
	}
}
