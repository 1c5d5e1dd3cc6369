package pool

import (
	"time"

	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// keptQueryTimeout is how long an application may take to reply on a kept connection. No
// request waits for the reply: what the application does not read stops nobody.
const keptQueryTimeout = 500 * time.Millisecond

// keptReply is what an application does with the queries on a connection that may be kept.
type keptReply uint8

const (
	keptUnread      keptReply = iota // it has not read them, as far as is known
	keptRead                         // it has read them, and does not reply
	keptClosed                       // it has closed the connection
	keptReplied                      // it replies, in no way that is listed here
	keptMultiplexes                  // it replies that it multiplexes
	keptLibrary                      // it replies with the fixed values of a library (upstream.LibraryDefaults)
)

// startQuery has the application queried on a connection that was released, unless that is
// under way on another connection. The reply says whether connections can be kept.
func (p *Pool) startQuery(c *conn) {
	if c.inst.keep.state != keepUnknown || c.inst.membership != serving || p.isSurplus(c) {
		p.startClosing(c)
		return
	}
	p.setKeepState(c.inst, keepQuerying, "")
	p.setState(c, querying)
	c.interrupted.Store(false) // stopQueries sets it
	p.tasks.Go(func() { p.queryKept(c) })
}

// stopQueries ends the queries to an instance that gets no more requests.
func (p *Pool) stopQueries(in *instance) {
	for c := range in.all {
		if c.state == querying {
			c.Interrupt()
		}
	}
}

// queryKept sends the queries on c, and does what the reply asks for.
func (p *Pool) queryKept(c *conn) {
	r := c.queryKept(p.querier(), time.Now().Add(keptQueryTimeout))
	in := c.inst
	p.mu.Lock()
	switch {
	case in.keep.state != keepQuerying:
	case c.interrupted.Load():
		p.setKeepState(in, keepUnknown, "")
	default:
		p.noteKeptReply(in, c, r)
	}
	switch {
	case in.keep.state == keepTaken && r != keptClosed && r != keptUnread:
		p.recycle(c)
	case in.keep.trialConn != c, p.closed, in.membership != serving, p.isSurplus(c):
		p.startClosing(c)
	default:
		p.park(c)
		in.queue.checkAt = time.Time{} // new connections may wait because of this one
		p.scheduleQueueCheck(in)
		p.dispatchWaiters()
	}
	p.unlock()
}

// noteKeptReply changes the keepState as a reply on c says.
func (p *Pool) noteKeptReply(in *instance, c *conn, r keptReply) {
	switch r {
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
		if p.config().Workers == 1 { // there can be no other connection beside it
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

// queryKept sends all queries on a connection that no request uses. It ends at a time.
func (c *conn) queryKept(q upstream.Querier, until time.Time) keptReply {
	c.queried = true // a reply may be late
	for n := range q.Queries() {
		result, err := c.query(q, n, until)
		switch {
		case isTimeout(err) && c.hasReadAll():
			return keptRead
		case isTimeout(err):
			return keptUnread
		case err != nil:
			return keptClosed
		case result == upstream.Multiplexing:
			return keptMultiplexes
		case result != upstream.LibraryDefaults:
			return keptReplied
		}
	}
	return keptLibrary
}

// query sends query n and waits for the reply.
func (c *conn) query(q upstream.Querier, n int, until time.Time) (upstream.QueryResult, error) {
	if err := c.Send(q.AppendQuery(nil, n), until); err != nil {
		return 0, err
	}
	data, err := c.awaitReply(until)
	if err != nil {
		return 0, err
	}
	return q.ParseReply(n, data), nil
}
