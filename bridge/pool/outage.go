package pool

import (
	"errors"
	"log/slog"
	"os"
	"time"
)

// An instance that could not be connected to is set aside for asideMin, then twice
// as long, and so on up to asideMax.
const (
	asideMin = time.Second
	asideMax = 30 * time.Second
)

// outage is an instance's failures to be connected to, since the last time it
// could be. While it is set aside, requests go to other instances if there are
// any, and at its end the pool connects once to see. (A single instance is tried by
// each request.)
type outage struct {
	failures int
	until    time.Time // when it is tried again; zero: it is not set aside
	err      error     // the last failure, ever
	at       time.Time // when that was
	probing  bool      // it is being tried
	logged   bool      // the log knows that it is down
	loggedAt time.Time // when it was told last: not more than once a second
}

func (o *outage) aside() bool { return !o.until.IsZero() }

// silent reports whether connecting took all the time it had: a request must not
// spend that on finding out once more.
func (o *outage) timedOut() bool { return o.aside() && isTimeout(o.err) }

// down notes that in could not be connected to.
func (p *Pool) down(in *instance, err error) {
	o := &in.outage
	p.countDialError(in, err)
	if o.at.Before(o.until) && !o.probing {
		return // one of several dials that fail together
	}
	o.probing = false
	pause := min(asideMin<<min(o.failures, 10), asideMax)
	o.failures++
	o.until = o.at.Add(pause)
	in.sharing.forget()
	in.behaviour.forget()
	p.resetKeep(in, true)
	in.observed = capacity{now: p.config().Workers, proven: 1, answering: in.observed.answering} // what looked full may have been its end
	p.recount()
	if len(p.instances) > 1 {
		p.schedule(o.until)
	}
}

// refused counts a failure to connect to in, which may be one of several before
// somebody is told.
func (p *Pool) countDialError(in *instance, err error) {
	in.counters.dialErrors++
	o := &in.outage
	o.err, o.at = err, time.Now()
	if !o.logged && o.at.Sub(o.loggedAt) >= time.Second {
		o.logged, o.loggedAt = true, o.at
		p.log(in, slog.LevelWarn, "the application cannot be connected to", slog.String("error", dialReason(err)))
		p.tell(in, &DialError{in.Addr, err})
	}
}

// down reports whether the last attempt to connect failed.
func (in *instance) down() bool { return in.outage.aside() || in.outage.at.After(in.lastOK) }

// up notes that in could be connected to.
func (p *Pool) up(in *instance) {
	in.lastOK = time.Now()
	if o := &in.outage; o.logged {
		o.logged = false
		p.log(in, slog.LevelInfo, "the application can be connected to again", slog.Duration("after", in.lastOK.Sub(o.loggedAt)))
		p.tell(in, nil)
	}
	back := in.outage.aside()
	in.outage.failures, in.outage.until, in.outage.probing = 0, time.Time{}, false
	if back {
		p.recount()
		p.schedule(in.lastOK) // requests that wait for other instances may come here again
	}
}

// probe connects to an instance that was set aside for long enough. Whoever waits
// then gets the connection; if nobody does, it is closed again.
func (p *Pool) probe(in *instance, now time.Time) {
	o := &in.outage
	if !o.aside() || len(p.instances) == 1 {
		return
	}
	if now.Before(o.until) {
		p.schedule(o.until)
		return
	}
	if in.count[dialing] > 0 || !in.room() {
		o.until = now.Add(asideMin) // it is being tried, or old connections to it are in the way
		p.schedule(o.until)
		return
	}
	// Whatever becomes of this one, there is a next.
	o.probing, o.until = true, now.Add(p.config().DialTimeout+asideMin)
	p.schedule(o.until)
	p.startDial(in, nobody())
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}
