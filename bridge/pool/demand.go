package pool

import "time"

// Demand says what a request needs of its connection. The zero value takes any
// that no other request uses.
type Demand struct {
	// Whole: the request goes out in one Write, with all of its body. Such requests
	// share multiplexed connections: one whose body comes bit by bit, or is not read
	// by the application, would hold up the others.
	Buffered bool
	// Body: the request has a body. An application that multiplexes may stop reading
	// the connection until the body of one request is read (Go's net/http/fcgi does),
	// so requests with bodies share connections among themselves.
	Body bool
	// Settled: the request cannot be sent again. PHP, when a worker retires, closes a
	// connection a moment after its END_REQUEST, and on a busy machine that moment is
	// long enough for another request to be sent. So where applications are known to
	// close kept connections (Config.Retires, or it was seen), one is taken only
	// after it has been quiet for settledAfter.
	NoReplay bool
	// Fresh: the request has already met a connection that the application had
	// closed. It gets one that is made after that.
	Fresh bool
	// Avoid is the address of an instance that turned the request away, if any. It is
	// the last choice.
	Avoid string

	since time.Time // for Fresh: when the request came back
}

// like reports whether what serves one request serves the other.
func (d Demand) like(other Demand) bool {
	d.since, other.since = time.Time{}, time.Time{}
	return d == other
}

// takes reports whether a connection that was given back just now will do.
func (d Demand) takes(c *conn) bool {
	return !d.Fresh && (!d.NoReplay || !c.inst.behaviour.closesIdle())
}

// quietEnough reports whether an idle connection has shown that it stays open, as
// far as the request needs that.
func (h *behaviour) quietEnough(c *conn, d Demand) bool {
	return d.takes(c) || !d.Fresh && time.Since(c.idleSince) >= noReplayQuiet
}

// take gives a request a connection of the least loaded instance that has room or
// an idle one; nil means that a dial is due, or a wait. Those who wait already have
// been offered what is idle (kick), so nobody is passed over.
func (p *Pool) take(d Demand) *conn {
	in := p.choose(d, func(in *instance) bool { return in.working() < in.observed.now })
	if in == nil {
		return nil
	}
	c := p.available(in, d)
	if c != nil {
		p.acquire(c, d)
		p.rotate()
	}
	return c
}

// available returns a connection that a request can have now: an idle one before
// one to share.
func (p *Pool) available(in *instance, d Demand) *conn {
	if c := in.kept(d); c != nil {
		return c
	}
	if p.sharing(in, d) {
		return in.joinable(d)
	}
	return nil
}

// kept returns an idle connection that a request can have to itself: the freshest
// one, or, where the application may be about to close that, the one that has been
// quiet for longest, if that is long enough.
func (in *instance) kept(d Demand) *conn {
	if d.Fresh {
		return nil
	}
	var oldest *conn
	for i := len(in.idle) - 1; i >= 0; i-- {
		c := in.idle[i]
		if c.mux != nil || c == in.keep.trialConn {
			continue
		}
		if d.takes(c) {
			return c
		}
		oldest = c
	}
	if oldest != nil && in.behaviour.quietEnough(oldest, d) {
		return oldest
	}
	return nil
}
