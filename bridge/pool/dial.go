package pool

import (
	"context"
	"errors"
	"io/fs"
	"syscall"
	"time"
)

// A dial that finds the backlog full, or the socket of an application that is being
// restarted, is repeated after dialPause, then after twice as long, up to dialPauseMax.
// Nothing tells when a backlog has room.
const (
	dialPause    = 5 * time.Millisecond
	dialPauseMax = 200 * time.Millisecond
)

// dial is a dial in progress.
type dial struct {
	ctx         context.Context // of the instance, as it was when the dial began
	conn        *conn           // the connection that it makes
	w           *waiter         // for which it was started; w.dial is another one if w waits for another instance now
	opensShared bool            // other waiters will share the connection
	queries     bool            // a query is sent before the connection is used
	trial       bool            // the query is sent only because it decides a trial (keepState)
}

// wanted reports whether w still waits for the connection.
func (d *dial) wanted() bool { return !d.w.resolved && d.w.dial == d }

// startDial dials in for w. The connection counts against the budget from now on.
func (p *Pool) startDial(in *instance, w *waiter) {
	d := &dial{ctx: in.ctx, conn: &conn{inst: in}, w: w}
	d.opensShared, d.queries = p.startSharing(in, w.demand)
	d.queries = d.queries || !in.behaviour.ignoresQueries() && p.mayTurnAway(in, w.demand)
	if p.startTrial(d) && !d.queries {
		d.queries, d.trial = true, true
	}
	p.rotate()
	w.dial = d
	p.begin(d)
}

// begin starts a dial.
func (p *Pool) begin(d *dial) {
	p.setState(d.conn, dialing)
	d.conn.inst.counters.Dials++
	p.tasks.Go(func() { p.dial(d) })
}

// dial connects. The connection goes to the waiter that it was made for or, if that has left
// or has another, to the waiters there are. If there is none, it is closed: a connection
// that was never used is not kept.
func (p *Pool) dial(d *dial) {
	c, w, in := d.conn, d.w, d.conn.inst
	r, err := p.connect(d)

	p.mu.Lock()
	wanted := d.wanted()
	if w.dial == d {
		w.dial = nil
	}
	if d.opensShared {
		in.sharing.opening = false
	}
	p.noteReply(in, r)
	p.endTrial(d, r)
	if r.proof() {
		in.repliedAt = time.Now()
	}
	switch {
	case err != nil:
		p.setState(c, none)
		p.dialFailed(d, err, wanted)
	default:
		p.up(in)
		c.proved = r.proof()
		if d.opensShared && (r == shared || p.config().Multiplex == MultiplexOn) {
			p.share(c, w.demand.Loop)
		} else {
			c.open()
		}
		if wanted && !p.closed {
			p.resolve(w, c, nil)
		} else {
			p.recycle(c)
		}
	}
	p.dispatchWaiters()
	p.unlock()
}

// dialFailed rules the instance out for the waiter of a dial, and for those that waited to
// share the connection. A waiter for which all instances are ruled out gets its error from
// the next dispatchWaiters.
func (p *Pool) dialFailed(d *dial, err error, wanted bool) {
	w, in := d.w, d.conn.inst
	switch {
	case d.ctx.Err() != nil, err == errNotNeeded, err == errTurnedAway:
		return // this says nothing against the instance
	case isShortage(err):
		if wanted { // the fault is not the instance's
			p.resolve(w, nil, &DialError{in.Addr, err})
		}
		return
	}
	p.down(in, err)
	if wanted {
		w.failed = append(w.failed, &DialError{in.Addr, err})
	}
	for e := p.waiters.Front(); d.opensShared && e != nil; e = e.Next() {
		if w := e.Value.(*waiter); w.dial == nil && !w.hasTried(in) && w.demand.Buffered {
			w.failed = append(w.failed, &DialError{in.Addr, err})
		}
	}
}

// connect dials until it succeeds, the waiter no longer needs the connection, or waiting
// cannot help. If it sends a query, it returns the reply.
func (p *Pool) connect(d *dial) (reply, error) {
	w, in := d.w, d.conn.inst
	query := d.queries
	started := time.Now()
	r := notQueried
	for pause := dialPause; ; pause = min(2*pause, dialPauseMax) {
		ctx, cancel := context.WithTimeout(d.ctx, p.config().DialTimeout)
		nc, err := in.Dial(ctx)
		cancel()
		switch {
		case d.ctx.Err() != nil:
			if err == nil {
				_ = nc.Close() // nothing was sent
			}
			return r, errNotNeeded
		case err != nil && !p.worthWaiting(in, w, err, started):
			return r, err
		case err != nil && p.tryElsewhere(d):
			return r, errTurnedAway
		case err == nil:
			d.conn.attach(nc, p.config().Codec)
			if !query {
				return r, nil
			}
			if r = p.queryNew(d); r != ended {
				return r, nil
			}
			_ = nc.Close() // nothing but the query was sent
			if query = p.mayQueryAgain(in); query && (!p.wasFull(d) || p.tryElsewhere(d)) {
				return r, errTurnedAway
			}
		}
		if err := p.pause(max(pause, p.config().CloseDelay), d); err != nil {
			return r, err
		}
	}
}

// tryElsewhere sends the waiter of d, whose instance is full, to another instance that is
// not, and reports whether there is one. If all are full, the waiter tries them in turn,
// each for dialPauseMax.
func (p *Pool) tryElsewhere(d *dial) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	in, w := d.conn.inst, d.w
	if !d.wanted() || time.Since(w.movedAt) < dialPauseMax {
		return false
	}
	for _, other := range p.instances {
		if other != in && !other.outage.aside() && !w.hasTried(other) && (other.room() || len(other.idle) > 0) {
			w.movedAt, w.demand.Avoid = time.Now(), in.Addr
			return true
		}
	}
	return false
}

// isShortage reports whether an error means that this process or system lacks something.
func isShortage(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOBUFS) ||
		errors.Is(err, syscall.ENOMEM) || errors.Is(err, syscall.EADDRNOTAVAIL)
}

// mayQueryAgain reports whether a query may be sent again after the application closed the
// connection instead of replying. If it never replied, it may have closed because of the
// query.
func (p *Pool) mayQueryAgain(in *instance) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return in.behaviour.replies
}

// wasFull notes that the application closed a new connection on which a query was sent, and
// reports whether to try again. If the pool has connections whose end makes room, the
// request waits for that instead: new connections would be turned away until then.
func (p *Pool) wasFull(d *dial) (again bool) {
	in := d.conn.inst
	p.foundFull(in)
	p.mu.Lock()
	defer p.mu.Unlock()
	if in.used() > in.most() {
		return false
	}
	if in.count[busy] == 0 && len(in.idle) == 0 {
		return true // all the room is taken by others
	}
	d.w.noteFull(in)
	return false
}

// pause waits. It returns errNotNeeded if d is not needed any more.
func (p *Pool) pause(pause time.Duration, d *dial) error {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-d.w.done:
	case <-d.ctx.Done():
	}
	return errNotNeeded
}

// worthWaiting reports whether a dial should be repeated: a full backlog and a restart pass,
// an application that does not run does not come back.
func (p *Pool) worthWaiting(in *instance, w *waiter, err error, started time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case errors.Is(err, syscall.EAGAIN):
		p.backlogFull(in)
		p.up(in)
		return true
	case isTimeout(err):
		// Over TCP a full backlog looks like no answer at all. But the application serves
		// others.
		if in.count[busy] == 0 && !in.servedLately(p.config().DialTimeout) {
			return false
		}
		p.backlogFull(in)
		return true
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		if p.restarting(in, started) && !p.anotherIsUp(in, w) {
			p.countDialError(in, err)
			return true
		}
	}
	return false
}

// restarting reports whether in could be connected to shortly before the dial began.
func (p *Pool) restarting(in *instance, started time.Time) bool {
	return !in.lastOK.IsZero() && started.Sub(in.lastOK) < p.config().DialTimeout && time.Since(started) < p.config().DialTimeout
}

// anotherIsUp reports whether w can go to another instance.
func (p *Pool) anotherIsUp(in *instance, w *waiter) bool {
	for _, other := range p.instances {
		if other != in && !other.outage.aside() && !w.hasTried(other) {
			return true
		}
	}
	return false
}
