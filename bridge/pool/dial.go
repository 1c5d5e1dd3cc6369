package pool

import (
	"container/list"
	"context"
	"errors"
	"io/fs"
	"net"
	"slices"
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

// waiter is a request without a connection. All of it belongs to the pool's
// mutex, but done, which is closed when conn or err is set.
type waiter struct {
	demand  demand
	done    chan struct{}
	settled bool
	conn    *conn
	err     error

	elem    *list.Element
	dialing bool // a dial runs on its behalf
	failed  []*DialError
}

// enqueue adds a waiter and starts what can be started for it. The caller holds
// the mutex and calls wait next.
func (p *Pool) enqueue(d demand) *waiter {
	w := &waiter{demand: d, done: make(chan struct{})}
	w.elem = p.waiters.PushBack(w)
	if victims := p.kick(); len(victims) > 0 {
		p.tasks.Go(func() {
			p.closeAll(victims)
		})
	}
	return w
}

// wait returns what w gets, unless ctx or the time to wait ends first.
func (p *Pool) wait(ctx context.Context, w *waiter) (*conn, error) {
	timer := time.NewTimer(p.cfg.WaitTimeout)
	defer timer.Stop()
	select {
	case <-w.done:
	case <-timer.C:
		p.giveUp(w, ErrWaitTimeout)
	case <-ctx.Done():
		p.giveUp(w, context.Cause(ctx))
	}
	if w.conn != nil && ctx.Err() != nil {
		p.takeBack(w.conn)
		return nil, context.Cause(ctx)
	}
	return w.conn, w.err
}

// giveUp settles a wait that lasted too long, unless it was settled meanwhile.
func (p *Pool) giveUp(w *waiter, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !w.settled {
		p.settle(w, nil, err)
	}
}

// takeBack takes what a waiter got in the instant it gave up.
func (p *Pool) takeBack(c *conn) {
	p.mu.Lock()
	var victims []*conn
	switch {
	case c.uses > 0 && !p.closed:
		victims = p.offer(c)
	case !p.handOver(c):
		p.move(c, closing)
		victims = []*conn{c}
	}
	p.mu.Unlock()
	p.closeAll(victims)
}

// settle ends a wait, with a connection or with an error.
func (p *Pool) settle(w *waiter, c *conn, err error) {
	p.waiters.Remove(w.elem)
	w.settled, w.conn, w.err = true, c, err
	if c != nil {
		if c.uses > 0 {
			c.inst.reuses++
		}
		p.move(c, busy)
	}
	close(w.done)
}

// handOver gives a connection that was never used to the first waiter, if there
// is one.
func (p *Pool) handOver(c *conn) bool {
	e := p.waiters.Front()
	if e == nil {
		return false
	}
	p.settle(e.Value.(*waiter), c, nil)
	return true
}

// kick starts a dial for every waiter that has none, as far as the budgets go.
// Where only idle connections are in the way it takes one out and returns it:
// the caller closes it, and the room it leaves is given out then.
func (p *Pool) kick() (victims []*conn) {
	if p.closed {
		return nil
	}
	making := 0 // connections being closed that will make room
	for _, in := range p.instances {
		making += in.count[closing]
	}
	for e := p.waiters.Front(); e != nil; e = e.Next() {
		w := e.Value.(*waiter)
		if w.dialing {
			continue
		}
		in := p.choose(func(in *instance) bool { return in.used() < p.cfg.Workers && !w.hasTried(in) })
		if in != nil {
			p.startDial(in, w)
			continue
		}
		if making > 0 {
			making--
			continue
		}
		if in := p.choose(func(in *instance) bool { return len(in.idle) > 0 && !w.hasTried(in) }); in != nil {
			victims = append(victims, p.evict(in))
		}
	}
	return victims
}

func (w *waiter) hasTried(in *instance) bool {
	return slices.ContainsFunc(w.failed, func(e *DialError) bool { return e.Addr == in.Addr })
}

// startDial dials in for w. The connection counts from here on.
func (p *Pool) startDial(in *instance, w *waiter) {
	c := &conn{inst: in}
	p.move(c, dialing)
	in.dials++
	p.nextTurn()
	w.dialing = true
	p.tasks.Go(func() {
		p.dial(c, w)
	})
}

// dial connects and hands the connection to w, or, if w has gone or got another,
// to whoever waits now. With nobody waiting it is closed: never keep what was
// never used.
func (p *Pool) dial(c *conn, w *waiter) {
	in := c.inst
	nc, err := p.connect(in, w)

	p.mu.Lock()
	w.dialing = false
	var victims []*conn
	switch {
	case err != nil:
		p.move(c, none)
		if !w.settled {
			p.dialFailed(in, w, err)
		}
		victims = p.kick()
	default:
		in.asideUntil, in.lastOK = time.Time{}, time.Now()
		c.open(nc)
		switch {
		case !p.closed && !w.settled:
			p.settle(w, c, nil)
		case p.closed || !p.handOver(c):
			p.move(c, closing)
			victims = []*conn{c}
		}
	}
	p.mu.Unlock()
	p.closeAll(victims)
}

// dialFailed counts one instance out for w. When that was the last one, w is
// told. The caller kicks.
func (p *Pool) dialFailed(in *instance, w *waiter, err error) {
	in.dialErrors++
	in.lastErr, in.lastErrAt = err, time.Now()
	in.asideUntil = in.lastErrAt.Add(setAside)
	w.failed = append(w.failed, &DialError{in.Addr, err})
	if len(w.failed) == len(p.instances) {
		p.settle(w, nil, &UnavailableError{w.failed})
	}
}

// connect dials until it succeeds, w no longer needs it, or the failure is one
// that waiting does not mend.
func (p *Pool) connect(in *instance, w *waiter) (net.Conn, error) {
	started := time.Now()
	for pause := dialPause; ; pause = min(2*pause, dialPauseMax) {
		ctx, cancel := context.WithTimeout(p.ctx, p.cfg.DialTimeout)
		nc, err := in.Dial(ctx)
		cancel()
		if err == nil || !p.worthWaiting(in, err, started) {
			return nc, err
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-w.done:
			t.Stop()
			return nil, err
		case <-p.ctx.Done():
			t.Stop()
			return nil, ErrClosed
		}
	}
}

// worthWaiting tells a full backlog and an application that is being restarted,
// which pass, from one that is not there.
func (p *Pool) worthWaiting(in *instance, err error, started time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if errors.Is(err, syscall.EAGAIN) {
		in.backlogs++
		return true
	}
	if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	return len(p.instances) == 1 && !in.lastOK.IsZero() &&
		time.Since(started) < p.cfg.DialTimeout && started.Sub(in.lastOK) < p.cfg.DialTimeout
}
