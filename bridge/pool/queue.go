package pool

import (
	"log/slog"
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
}

// expect counts a connection that a request was given new.
func (q *acceptQueue) expect(c *conn) {
	if !c.unheard {
		c.unheard = true
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
	if q := &in.queue; q.unheard > 0 && in.Queue != nil && !q.looking && q.lookAt.IsZero() {
		q.lookAt = time.Now().Add(lookEvery)
		p.schedule(q.lookAt)
	}
}

// glance starts a look at the queue if it is time, one of ours may be in it, and not
// all there are.
func (p *Pool) glance(in *instance, now time.Time) {
	q := &in.queue
	switch {
	case q.lookAt.IsZero():
		return
	case now.Before(q.lookAt):
		p.schedule(q.lookAt)
		return
	}
	q.lookAt = time.Time{}
	if q.unheard == 0 || in.conns() == 1 {
		q.waited = false
		return
	}
	q.looking = true
	p.tasks.Go(func() { p.look(in) })
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
		in.queue.lookAt = time.Now().Add(lookAgain)
		p.schedule(in.queue.lookAt)
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
