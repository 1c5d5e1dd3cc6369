package pool

import (
	"context"
	"errors"
	"io/fs"
	"net"
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

// startDial dials in for w. The connection counts from here on.
func (p *Pool) startDial(in *instance, w *waiter) {
	opens, ask := p.startSharing(in, w.demand)
	c := &conn{inst: in}
	p.move(c, dialing)
	in.counters.dials++
	p.nextTurn()
	w.dialing = true
	ask = ask || !in.habits.silent() && p.mayTurnAway(in, w.demand)
	p.tasks.Go(func() { p.dial(c, w, opens, ask) })
}

// dial connects and hands the connection to w, or, if w has gone or got another,
// to whoever waits now. With nobody waiting it is closed: never keep what was
// never used.
func (p *Pool) dial(c *conn, w *waiter, opens, ask bool) {
	in := c.inst
	nc, answer, err := p.connect(in, w, ask)

	p.mu.Lock()
	w.dialing = false
	if opens {
		in.sharing.opening = false
	}
	p.learn(in, answer)
	var victims []*conn
	switch {
	case err != nil:
		p.move(c, none)
		p.dialFailed(in, w, err, opens)
	default:
		p.up(in)
		p.open(c, nc, opens && in.sharing.verdict == yes, answer)
		if !w.settled && !p.closed {
			p.settle(w, c, nil)
		} else {
			victims = p.handBack(c)
		}
	}
	victims = append(victims, p.kick()...)
	p.mu.Unlock()
	p.closeAll(victims)
}

// dialFailed counts one instance out for w, and for those who waited for the same
// connection if it was to be shared. Who has tried all of them is told by the next
// kick.
func (p *Pool) dialFailed(in *instance, w *waiter, err error, shared bool) {
	if p.closed || errors.Is(err, syscall.EAGAIN) || err == errTurnedAway {
		return // w has gone; the instance is there
	}
	p.down(in, err)
	if !w.settled {
		w.failed = append(w.failed, &DialError{in.Addr, err})
	}
	for e := p.waiters.Front(); shared && e != nil; e = e.Next() {
		if w := e.Value.(*waiter); !w.dialing && !w.hasTried(in) && w.demand.shares() {
			w.failed = append(w.failed, &DialError{in.Addr, err})
		}
	}
}

// connect dials until it succeeds, w no longer needs it, or the failure is one
// that waiting does not mend. If it asks, it returns what came of that.
func (p *Pool) connect(in *instance, w *waiter, ask bool) (net.Conn, reply, error) {
	started := time.Now()
	answer := unasked
	for pause := dialPause; ; pause = min(2*pause, dialPauseMax) {
		ctx, cancel := context.WithTimeout(p.ctx, p.cfg.DialTimeout)
		nc, err := in.Dial(ctx)
		cancel()
		switch {
		case err != nil && !p.worthWaiting(in, w, err, started):
			return nil, answer, err
		case err != nil:
		case !ask:
			return nc, answer, nil
		default:
			if answer = p.ask(in, nc, w); answer != ended {
				return nc, answer, nil
			}
			_ = nc.Close() // nothing was asked of it that matters
			if ask = p.mayAskAgain(in); ask && !p.wasFull(in) {
				return nil, answer, errTurnedAway
			}
			err = errTurnedAway
		}
		if err := p.pause(max(pause, p.cfg.CloseDelay), w, err); err != nil {
			return nil, answer, err
		}
	}
}

// mayAskAgain reports whether in may be asked again after it closed the connection
// instead of answering. One that never answered may dislike to be asked.
func (p *Pool) mayAskAgain(in *instance) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return in.habits.answers
}

// wasFull notes that in closed a new connection at a question, and reports whether
// to try again. If we have as many as it holds, the request waits for one of those
// to be over instead: a new connection would be turned away until then.
func (p *Pool) wasFull(in *instance) (again bool) {
	p.turnedAway(in, true)
	p.mu.Lock()
	defer p.mu.Unlock()
	return in.used() <= in.observed.now
}

// pause waits for d. It returns err if w no longer needs what it waits for.
func (p *Pool) pause(d time.Duration, w *waiter, err error) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-w.done:
		return err
	case <-p.ctx.Done():
		return ErrClosed
	}
}

// worthWaiting tells a full backlog and an application that is being restarted,
// which pass, from one that is not there.
func (p *Pool) worthWaiting(in *instance, w *waiter, err error, started time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case errors.Is(err, syscall.EAGAIN):
		in.counters.backlogs++
		p.noteFull(in)
		p.up(in)
		return true
	case isTimeout(err):
		// TCP says nothing when the backlog is full. But something listens there: it
		// answers others.
		if in.count[busy] == 0 && !in.servedLately(p.cfg.DialTimeout) || p.anotherIsUp(in, w) {
			return false
		}
		in.counters.backlogs++
		p.noteFull(in)
		return true
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return p.restarting(in, started) && !p.anotherIsUp(in, w)
	}
	return false
}

// restarting reports whether in was there a moment before it was dialled first.
func (p *Pool) restarting(in *instance, started time.Time) bool {
	return !in.lastOK.IsZero() && started.Sub(in.lastOK) < p.cfg.DialTimeout && time.Since(started) < p.cfg.DialTimeout
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
