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
	askKeptWithin = 500 * time.Millisecond
	// besideWithin is how long it may take to answer on a new connection beside a kept
	// one, before that is closed. A request waits for it.
	besideWithin = 200 * time.Millisecond
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
	untried keepState = iota
	inquiry
	trial
	taken
	refused
)

func (s keepState) String() string {
	return [...]string{"unknown", "unknown", "unknown", "on", "off"}[s]
}

// keeping is what an instance's keepState comes from. It is of use with KeepAuto alone.
type keeping struct {
	state   keepState
	witness *conn         // in trial: the connection that has answered, idle
	beside  *dial         // in trial: what makes another one, on which is asked, too
	until   time.Time     // in trial, if beside: when that must have been answered
	since   time.Time     // in taken: when it began
	why     string        // in refused
	retryAt time.Time     // in refused: when it ends
	pause   time.Duration // how long it lasted the last time
	told    keepState     // what the log knows: taken or refused
}

// becomes is the one place where an instance's keepState changes.
func (p *Pool) becomes(in *instance, to keepState, why string) {
	k := &in.keep
	if k.state == taken && time.Since(k.since) > refusedMax {
		k.pause = 0 // what was seen before is long ago
	}
	k.state, k.witness, k.beside, k.why = to, nil, nil, why
	switch to {
	case taken:
		k.since = time.Now()
		if k.told == refused {
			p.log(in, slog.LevelInfo, "connections to the application are kept")
		}
		k.told = taken
	case refused:
		k.pause = min(max(2*k.pause, refusedFor), refusedMax)
		k.retryAt = time.Now().Add(k.pause)
		if k.told != refused {
			p.log(in, slog.LevelInfo, "connections to the application are not kept", slog.String("why", why))
		}
		k.told = refused
		p.schedule(time.Now()) // what is kept is closed
	}
}

// keeps reports whether a connection that was used is kept.
func (p *Pool) keeps(in *instance) bool {
	switch p.config().KeepAlive {
	case KeepOn:
		return true
	case KeepAuto:
		return in.keep.state == taken
	}
	return false
}

// once reports whether a request has a connection for itself alone, and the application
// is told so.
func (p *Pool) once(in *instance) bool {
	switch p.config().KeepAlive {
	case KeepOn:
		return false
	case KeepAuto:
		if in.keep.state == refused && !time.Now().Before(in.keep.retryAt) {
			p.becomes(in, untried, "")
		}
		return in.keep.state == refused
	}
	return true
}

// forgetKept has it found out again whether connections can be kept: it may be another
// application. One that refused is left alone for a while all the same, unless it is
// known to have gone.
func (p *Pool) forgetKept(in *instance, gone bool) {
	switch {
	case gone:
		in.keep.pause = 0
		p.becomes(in, untried, "")
	case in.keep.state == taken:
		p.becomes(in, untried, "")
	}
}

// inquire is handBack for a connection whose application may not take kept ones: it is
// asked, unless it is being asked on another.
func (p *Pool) inquire(c *conn) (victims []*conn) {
	if c.inst.keep.state != untried || c.inst.standing != serving || p.surplus(c) {
		p.move(c, closing)
		return []*conn{c}
	}
	p.becomes(c.inst, inquiry, "")
	p.move(c, asked)
	c.interrupted.Store(false) // until stopAsking
	p.tasks.Go(func() { p.askKept(c) })
	return nil
}

// askKept asks on a connection that was kept, and draws its conclusions.
func (p *Pool) askKept(c *conn) {
	manner := c.ask(p.querier(), time.Now().Add(askKeptWithin))
	in := c.inst
	p.mu.Lock()
	switch {
	case in.keep.state != inquiry:
	case c.interrupted.Load():
		p.becomes(in, untried, "")
	default:
		p.judgeKept(in, c, manner)
	}
	var victims []*conn
	switch {
	case in.keep.state == taken && manner != hungUp && manner != notAtAll:
		victims = p.handBack(c)
	case in.keep.witness != c:
		p.move(c, closing)
		victims = []*conn{c}
	case p.closed || in.standing != serving || p.surplus(c):
		p.becomes(in, untried, "")
		p.move(c, closing)
		victims = []*conn{c}
	default:
		p.park(c)
		in.queue.lookAt = time.Time{} // others may wait because of it
		p.watch(in)
		victims = p.kick()
	}
	p.mu.Unlock()
	p.closeAll(victims)
}

// stopAsking ends an inquiry: the instance is sent no more requests.
func (p *Pool) stopAsking(in *instance) {
	for c := range in.all {
		if c.state == asked {
			c.interrupt()
		}
	}
}

// judgeKept notes what the manner of an answer on a kept connection says.
func (p *Pool) judgeKept(in *instance, c *conn, m manner) {
	switch m {
	case plainly:
		p.learn(in, single)
		p.becomes(in, taken, "")
	case multiplexing:
		p.learn(in, shared)
		p.becomes(in, taken, "")
	case readOnly:
		p.becomes(in, taken, "")
	case fixed:
		p.learn(in, single)
		if p.config().Workers == 1 { // no other connection can be made beside it
			p.becomes(in, refused, "it answers as libfcgi does, and with one worker it cannot be tried out")
			return
		}
		p.becomes(in, trial, "")
		in.keep.witness = c
	case hungUp:
		p.becomes(in, untried, "")
		p.sawClosed(c)
	case notAtAll:
		p.becomes(in, refused, "a question on a kept connection was not read")
	}
}

// tryBeside notes that a connection to in is being made, and reports whether it is the
// one that decides a trial. The application is asked on it: one that reads a kept
// connection instead of accepting others answers only when that is closed.
func (p *Pool) tryBeside(d *dial) bool {
	k := &d.conn.inst.keep
	if k.state != trial || k.beside != nil {
		return false
	}
	k.beside, k.until = d, time.Now().Add(besideWithin)
	p.schedule(k.until)
	return true
}

// triedBeside notes what came of it.
func (p *Pool) triedBeside(d *dial, r reply) {
	in := d.conn.inst
	k := &in.keep
	switch {
	case k.beside != d: // it decides nothing, or was too late, or the kept one has gone
	case r.proof() && k.witness.usable():
		p.becomes(in, taken, "")
	default:
		k.beside = nil // nothing is known: the next one tells
	}
}

// tendKept closes the kept connection if one that was made beside it is not answered, and
// all if the application does not take that.
func (p *Pool) tendKept(in *instance, now time.Time) (victims []*conn) {
	k := &in.keep
	switch {
	case k.beside != nil && now.Before(k.until):
		p.schedule(k.until)
	case k.beside != nil:
		victims = p.evictOwn(in)
		p.becomes(in, refused, "a new connection was not answered while one was kept")
	case k.state == refused && p.config().KeepAlive == KeepAuto:
		victims = p.evictOwn(in)
	}
	return victims
}

// giveUpKeeping closes the unused connections, because they stop others, and has no more
// kept.
func (p *Pool) giveUpKeeping(in *instance, why string) (victims []*conn) {
	victims = p.evictOwn(in)
	in.counters.yielded += uint64(len(victims))
	p.becomes(in, refused, why)
	return victims
}

// evictOwn takes out for closing the idle connections that requests have to themselves.
func (p *Pool) evictOwn(in *instance) (victims []*conn) {
	for i := len(in.idle) - 1; i >= 0; i-- {
		if c := in.idle[i]; c.mux == nil {
			c.evicted = true
			victims = append(victims, p.drop(c))
		}
	}
	return victims
}
