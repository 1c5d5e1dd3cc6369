package pool

import (
	"log/slog"
	"time"
)

// KeepAlive says whether connections carry more than one request.
type KeepAlive uint8

const (
	// KeepOn: connections are kept for further requests.
	KeepOn KeepAlive = iota
	// KeepOff: each carries one.
	KeepOff
	// KeepAuto: they are kept if the application was seen to take that. Programs written
	// with libfcgi may not: FCGX_Accept_r reads a connection that was kept instead of
	// accepting others, so where threads take turns at it, or one accepts for all, an
	// unused connection stops the whole program, and a request on a kept one may never
	// be read.
	KeepAuto
)

const (
	// askKeptWithin is how long an application may take to answer a question on a
	// connection that was kept. Nobody waits for it: what the application does not read
	// stops nobody.
	keptQueryTimeout = 500 * time.Millisecond
	// besideWithin is how long it may take to answer on a new connection beside a kept
	// one, before that is closed. A request waits for it.
	trialTimeout = 200 * time.Millisecond
	// refusedFor is how long connections are not kept when that was found out. It may
	// have been a mistake on a busy machine, and finding it out again costs little: each
	// time it is twice as long, up to refusedMax.
	refusedFor = 2 * time.Second
	refusedMax = 10 * time.Minute
)

// keepState is what is known of whether an instance takes kept connections.
//
//	untried -> inquiry: a request was answered, and the application is asked on its connection
//	inquiry -> taken: it has read the question, and did not answer as libfcgi does
//	inquiry -> trial: it answered as libfcgi does, whose programs are of both kinds
//	trial -> taken: another connection was answered meanwhile
//	inquiry, trial -> untried: the connection ended, or its room was needed
//	inquiry, trial, taken -> refused: kept connections are not read, or stop others
//	taken -> untried: it may be another application by now
//	refused -> untried: time has passed, or it may be another application
//
// Connections are kept while it is taken, and only then; those that were kept before it
// became untried are used up. In trial there is one that nobody is given.
type keepState uint8

const (
	keepUnknown keepState = iota
	keepQuerying
	keepTrial
	keepTaken
	keepRefused
)

func (s keepState) String() string {
	return [...]string{"unknown", "unknown", "unknown", "on", "off"}[s]
}

// keeping is what an instance's keepState comes from. It is of use with KeepAuto alone.
type keepTracker struct {
	state     keepState
	trialConn *conn         // in trial: the connection that has answered, idle
	trialDial *dial         // in trial: what makes another one, on which is asked, too
	until     time.Time     // in trial, if beside: when that must have been answered
	since     time.Time     // in taken: when it began
	why       string        // in refused
	retryAt   time.Time     // in refused: when it ends
	pause     time.Duration // how long it lasted the last time
	logged    keepState     // what the log knows: taken or refused
}

// becomes is the one place where an instance's keepState changes.
func (p *Pool) setKeepState(in *instance, to keepState, why string) {
	k := &in.keep
	if k.state == keepTaken && time.Since(k.since) > refusedMax {
		k.pause = 0 // what was seen before is long ago
	}
	k.state, k.trialConn, k.trialDial, k.why = to, nil, nil, why
	switch to {
	case keepTaken:
		k.since = time.Now()
		if k.logged == keepRefused {
			p.log(in, slog.LevelInfo, "connections to the application are kept")
		}
		k.logged = keepTaken
	case keepRefused:
		k.pause = min(max(2*k.pause, refusedFor), refusedMax)
		k.retryAt = time.Now().Add(k.pause)
		if k.logged != keepRefused {
			p.log(in, slog.LevelInfo, "connections to the application are not kept", slog.String("why", why))
		}
		k.logged = keepRefused
		p.schedule(time.Now()) // what is kept is closed
	}
}

// keeps reports whether a connection that was used is kept.
func (p *Pool) keeps(in *instance) bool {
	switch p.config().KeepAlive {
	case KeepOn:
		return true
	case KeepAuto:
		return in.keep.state == keepTaken
	}
	return false
}

// once reports whether a request has a connection for itself alone, and the application
// is told so.
func (p *Pool) noKeepAlive(in *instance) bool {
	switch p.config().KeepAlive {
	case KeepOn:
		return false
	case KeepAuto:
		if in.keep.state == keepRefused && !time.Now().Before(in.keep.retryAt) {
			p.setKeepState(in, keepUnknown, "")
		}
		return in.keep.state == keepRefused
	}
	return true
}

// forgetKept has it found out again whether connections can be kept: it may be another
// application. One that refused is left alone for a while all the same, unless it is
// known to have gone.
func (p *Pool) resetKeep(in *instance, gone bool) {
	switch {
	case gone:
		in.keep.pause = 0
		p.setKeepState(in, keepUnknown, "")
	case in.keep.state == keepTaken:
		p.setKeepState(in, keepUnknown, "")
	}
}

// inquire is handBack for a connection whose application may not take kept ones: it is
// asked, unless it is being asked on another.
func (p *Pool) startQuery(c *conn) (toClose []*conn) {
	if c.inst.keep.state != keepUnknown || c.inst.membership != serving || p.isSurplus(c) {
		p.setState(c, closing)
		return []*conn{c}
	}
	p.setKeepState(c.inst, keepQuerying, "")
	p.setState(c, querying)
	c.interrupted.Store(false) // until stopAsking
	p.tasks.Go(func() { p.queryKept(c) })
	return nil
}

// askKept asks on a connection that was kept, and draws its conclusions.
func (p *Pool) queryKept(c *conn) {
	manner := c.queryKept(p.querier(), time.Now().Add(keptQueryTimeout))
	in := c.inst
	p.mu.Lock()
	switch {
	case in.keep.state != keepQuerying:
	case c.interrupted.Load():
		p.setKeepState(in, keepUnknown, "")
	default:
		p.noteKeptReply(in, c, manner)
	}
	var toClose []*conn
	switch {
	case in.keep.state == keepTaken && manner != keptClosed && manner != keptUnread:
		toClose = p.recycle(c)
	case in.keep.trialConn != c:
		p.setState(c, closing)
		toClose = []*conn{c}
	case p.closed || in.membership != serving || p.isSurplus(c):
		p.setKeepState(in, keepUnknown, "")
		p.setState(c, closing)
		toClose = []*conn{c}
	default:
		p.park(c)
		in.queue.checkAt = time.Time{} // others may wait because of it
		p.scheduleQueueCheck(in)
		toClose = p.dispatchWaiters()
	}
	p.mu.Unlock()
	p.closeAll(toClose)
}

// stopAsking ends an inquiry: the instance is sent no more requests.
func (p *Pool) stopQueries(in *instance) {
	for c := range in.all {
		if c.state == querying {
			c.Interrupt()
		}
	}
}

// judgeKept notes what the manner of an answer on a kept connection says.
func (p *Pool) noteKeptReply(in *instance, c *conn, m keptReply) {
	switch m {
	case keptReplied:
		p.noteReply(in, single)
		p.setKeepState(in, keepTaken, "")
	case keptMultiplexes:
		p.noteReply(in, shared)
		p.setKeepState(in, keepTaken, "")
	case keptRead:
		p.setKeepState(in, keepTaken, "")
	case keptLibrary:
		p.noteReply(in, single)
		if p.config().Workers == 1 { // no other connection can be made beside it
			p.setKeepState(in, keepRefused, "it answers as libfcgi does, and with one worker it cannot be tried out")
			return
		}
		p.setKeepState(in, keepTrial, "")
		in.keep.trialConn = c
	case keptClosed:
		p.setKeepState(in, keepUnknown, "")
		p.noteClosedIdleLocked(c)
	case keptUnread:
		p.setKeepState(in, keepRefused, "a question on a kept connection was not read")
	}
}

// tryBeside notes that a connection to in is being made, and reports whether it is the
// one that decides a trial. The application is asked on it: one that reads a kept
// connection instead of accepting others answers only when that is closed.
func (p *Pool) startTrial(d *dial) bool {
	k := &d.conn.inst.keep
	if k.state != keepTrial || k.trialDial != nil {
		return false
	}
	k.trialDial, k.until = d, time.Now().Add(trialTimeout)
	p.schedule(k.until)
	return true
}

// triedBeside notes what came of it.
func (p *Pool) endTrial(d *dial, r reply) {
	in := d.conn.inst
	k := &in.keep
	switch {
	case k.trialDial != d: // it decides nothing, or was too late, or the kept one has gone
	case r.proof() && k.trialConn.usable():
		p.setKeepState(in, keepTaken, "")
	default:
		k.trialDial = nil // nothing is known: the next one tells
	}
}

// tendKept closes the kept connection if one that was made beside it is not answered, and
// all if the application does not take that.
func (p *Pool) maintainKeep(in *instance, now time.Time) (toClose []*conn) {
	k := &in.keep
	switch {
	case k.trialDial != nil && now.Before(k.until):
		p.schedule(k.until)
	case k.trialDial != nil:
		toClose = p.evictExclusive(in)
		p.setKeepState(in, keepRefused, "a new connection was not answered while one was kept")
	case k.state == keepRefused && p.config().KeepAlive == KeepAuto:
		toClose = p.evictExclusive(in)
	}
	return toClose
}

// giveUpKeeping closes the unused connections, because they stop others, and has no more
// kept.
func (p *Pool) stopKeeping(in *instance, why string) (toClose []*conn) {
	toClose = p.evictExclusive(in)
	in.counters.shedIdle += uint64(len(toClose))
	p.setKeepState(in, keepRefused, why)
	return toClose
}

// evictOwn takes out for closing the idle connections that requests have to themselves.
func (p *Pool) evictExclusive(in *instance) (toClose []*conn) {
	for i := len(in.idle) - 1; i >= 0; i-- {
		if c := in.idle[i]; c.mux == nil {
			c.evicted = true
			toClose = append(toClose, p.takeIdle(c))
		}
	}
	return toClose
}
