package pool

import (
	"errors"
	"log/slog"
	"os"
	"time"
)

// An instance that cannot be connected to is set aside for asideMin, then for twice as long
// each time, up to asideMax.
const (
	asideMin = time.Second
	asideMax = 30 * time.Second
)

// outage is what is known of the failures to connect to an instance. While it is set aside,
// requests go to other instances, and after that the pool dials it once. If there is only
// one instance, each request dials it.
type outage struct {
	failures int
	until    time.Time // when it is dialled again; zero: it is not set aside
	err      error     // the last failure, even if it is over
	at       time.Time // when err was
	probing  bool      // the pool dials it
	logged   bool      // the log was told that it is down
	loggedAt time.Time // when the log was told last; at most once a second
}

func (o *outage) aside() bool { return !o.until.IsZero() }

// timedOut reports whether the last dial took all its time. Requests must not spend that
// again.
func (o *outage) timedOut() bool { return o.aside() && isTimeout(o.err) }

// down notes that in cannot be connected to.
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
	full := in.observed.toldFull(p.config().Workers)
	in.observed = capacity{now: p.config().Workers, proven: 1, answering: in.observed.answering} // it may have looked full because it was ending
	p.recount()
	if full {
		p.tellCapacity(in)
	}
	if len(p.instances) > 1 {
		p.schedule(o.until)
	}
}

// countDialError notes a failure to connect to in. Requests may not be told of it yet.
func (p *Pool) countDialError(in *instance, err error) {
	in.counters.DialErrors++
	o := &in.outage
	o.err, o.at = err, time.Now()
	if !o.logged && o.at.Sub(o.loggedAt) >= time.Second {
		o.logged, o.loggedAt = true, o.at
		p.log(in, slog.LevelWarn, "the application cannot be connected to", slog.String("error", dialReason(err)), slog.String("advice", "see whether the application runs, and listens at this address"))
		p.tell(in, &DialError{in.Addr, err})
	}
}

// down reports whether the last attempt to connect failed.
func (in *instance) down() bool { return in.outage.aside() || in.outage.at.After(in.lastOK) }

// up notes that in can be connected to.
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
		p.schedule(in.lastOK) // requests that wait for other instances may have this one
	}
}

// probe dials an instance when it was set aside for long enough. The connection goes to a
// waiter, or is closed.
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
		o.until = now.Add(asideMin) // the pool dials it, or old connections to it are in the way
		p.schedule(o.until)
		return
	}
	// If this dial fails, too, there is a next one.
	o.probing, o.until = true, now.Add(p.config().DialTimeout+asideMin)
	p.schedule(o.until)
	p.startDial(in, nobody())
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}
