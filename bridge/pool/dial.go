package pool

import (
	"context"
	"errors"
	"io/fs"
	"syscall"
	"time"
)

// A dial that finds the backlog full, or the socket of an application that is
// being restarted, tries again after dialPause, doubling up to dialPauseMax.
// Nothing announces that a backlog has room.
const (
	dialPause    = 5 * time.Millisecond
	dialPauseMax = 200 * time.Millisecond
)

// dial is one that is under way.
type dial struct {
	ctx         context.Context // its instance's, as it was
	conn        *conn           // what it makes
	w           *waiter         // on whose behalf, unless that has gone elsewhere since: then waiter.dial is another
	opensShared bool            // others wait to share the connection
	queries     bool            // the application is asked on it before it is used
	trial       bool            // only because that decides a trial: see keepState
}

// wanted reports whether somebody waits for the connection still.
func (d *dial) wanted() bool { return !d.w.resolved && d.w.dial == d }

// startDial dials in for w. The connection counts from here on.
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
	d.conn.inst.counters.dials++
	p.tasks.Go(func() { p.dial(d) })
}

// dial connects and hands the connection to the waiter it is for, or, if that has gone
// or got another, to whoever waits now. With nobody waiting it is closed: never keep
// what was never used.
func (p *Pool) dial(d *dial) {
	c, w, in := d.conn, d.w, d.conn.inst
	answer, err := p.connect(d)

	p.mu.Lock()
	wanted := d.wanted()
	if w.dial == d {
		w.dial = nil
	}
	if d.opensShared {
		in.sharing.opening = false
	}
	p.noteReply(in, answer)
	p.endTrial(d, answer)
	if answer.proof() {
		in.repliedAt = time.Now()
	}
	switch {
	case err != nil:
		p.setState(c, none)
		p.dialFailed(d, err, wanted)
	default:
		p.up(in)
		c.proved = answer.proof()
		if d.opensShared && (answer == shared || p.config().Multiplex == MultiplexOn) {
			p.share(c)
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

// dialFailed counts one instance out for the waiter that a dial was for, and for those
// who waited to share the connection. Who has tried all of them is told by the next
// kick.
func (p *Pool) dialFailed(d *dial, err error, wanted bool) {
	w, in := d.w, d.conn.inst
	switch {
	case d.ctx.Err() != nil, err == errNotNeeded, err == errTurnedAway:
		return // the instance may be there, or is, or does not matter any more
	case isShortage(err):
		if wanted { // it is not the instance's fault
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

// connect dials d.conn until it succeeds, the waiter no longer needs it, or the failure is
// one that waiting does not mend. If it asks, it returns what came of that.
func (p *Pool) connect(d *dial) (reply, error) {
	w, in := d.w, d.conn.inst
	ask := d.queries
	started := time.Now()
	answer := notQueried
	for pause := dialPause; ; pause = min(2*pause, dialPauseMax) {
		ctx, cancel := context.WithTimeout(d.ctx, p.config().DialTimeout)
		nc, err := in.Dial(ctx)
		cancel()
		switch {
		case d.ctx.Err() != nil:
			if err == nil {
				_ = nc.Close() // nothing was asked of it
			}
			return answer, errNotNeeded
		case err != nil && !p.worthWaiting(in, w, err, started):
			return answer, err
		case err != nil && p.tryElsewhere(d):
			return answer, errTurnedAway
		case err == nil:
			d.conn.attach(nc, p.config().Codec)
			if !ask {
				return answer, nil
			}
			if answer = p.queryNew(d); answer != ended {
				return answer, nil
			}
			_ = nc.Close() // nothing was asked of it that matters
			if ask = p.mayQueryAgain(in); ask && (!p.wasFull(d) || p.tryElsewhere(d)) {
				return answer, errTurnedAway
			}
		}
		if err := p.pause(max(pause, p.config().CloseDelay), d); err != nil {
			return answer, err
		}
	}
}

// moveOn has whoever waits for d go to another instance than d's, which is full, if
// there is one that is not, and reports whether it does. If they all are, it tries them
// in turn, not too fast.
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

// isShortage reports an error that is this process's or system's own.
func isShortage(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOBUFS) ||
		errors.Is(err, syscall.ENOMEM) || errors.Is(err, syscall.EADDRNOTAVAIL)
}

// mayAskAgain reports whether in may be asked again after it closed the connection
// instead of answering. One that never answered may dislike to be asked.
func (p *Pool) mayQueryAgain(in *instance) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return in.behaviour.replies
}

// wasFull notes that d's instance closed a new connection at a question, and reports whether
// to try again. If we have as many as it holds, or some that make room when they are closed,
// the request waits for one of those to be over instead: a new connection would be turned
// away until then.
func (p *Pool) wasFull(d *dial) (again bool) {
	in := d.conn.inst
	p.foundFull(in)
	p.mu.Lock()
	defer p.mu.Unlock()
	if in.used() > in.observed.now {
		return false
	}
	if in.count[busy] == 0 && len(in.idle) == 0 {
		return true // others have all there is
	}
	d.w.noteFull(in)
	return false
}

// pause waits for so long. It returns errNotNeeded if d is not needed any more.
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

// worthWaiting tells a full backlog and an application that is being restarted,
// which pass, from one that is not there.
func (p *Pool) worthWaiting(in *instance, w *waiter, err error, started time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case errors.Is(err, syscall.EAGAIN):
		p.backlogFull(in)
		p.up(in)
		return true
	case isTimeout(err):
		// TCP says nothing when the backlog is full. But something listens there: it
		// answers others.
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

// restarting reports whether in was there a moment before it was dialled first.
func (p *Pool) restarting(in *instance, started time.Time) bool {
	return !in.lastOK.IsZero() && started.Sub(in.lastOK) < p.config().DialTimeout && time.Since(started) < p.config().DialTimeout
}

// anotherIsUp reports whether w could go to another instance instead.
func (p *Pool) anotherIsUp(in *instance, w *waiter) bool {
	for _, other := range p.instances {
		if other != in && !other.outage.aside() && !w.hasTried(other) {
			return true
		}
	}
	return false
}
