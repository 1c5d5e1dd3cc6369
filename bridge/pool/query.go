package pool

import (
	"errors"
	"time"

	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// On a new connection the application may be asked whether it multiplexes, where the
// protocol has such a question. The answer is of use twice: it says whether requests can
// share the connection, and it proves that somebody reads it, that is, that it was not
// accepted to be closed because the application is full. Nothing is lost if it is: no
// request was sent. Every server measured serves requests on the connection after the
// question, answered or not.
const (
	// askTimeout is how long an application that serves others meanwhile may take to
	// answer. Most answer at once; uWSGI never does.
	queryTimeout      = 250 * time.Millisecond
	queryWriteTimeout = 5 * time.Second // and the question to be written
	// startPatience is how long one may take that serves nothing meanwhile: its socket
	// may have been made before it, or it is stopped.
	startTimeout = 2 * time.Second
	// startAgain is when such a one is asked again, silentAgain one that served others.
	queryAgainStalled = 10 * time.Second
	queryAgainSilent  = 10 * time.Minute
)

// reply is what came of a question.
type reply uint8

const (
	notQueried reply = iota
	silent           // nothing, although it served others meanwhile
	stalled          // nothing, and it served nobody, for startPatience or after it turned one away
	undecided        // nothing, for less than that
	ended            // the application closed the connection
	single           // it answered that it does not multiplex, or nothing that says so
	shared           // it answered that it multiplexes
)

// proof reports whether somebody reads the connection.
func (r reply) proof() bool { return r == single || r == shared }

// verdict is what an answer says of whether the application multiplexes.
func (r reply) multiplexState() multiplexState {
	if r == shared {
		return multiplexYes
	}
	return multiplexNo
}

// ask asks on a new connection. It gives up when that is not needed any more.
func (p *Pool) queryNew(d *dial) reply {
	c, q := d.conn, p.querier()
	// It fits into the socket's buffer, so this waits for nobody but the processor.
	if c.Send(q.AppendQuery(nil, 0), time.Now().Add(queryWriteTimeout)) != nil || c.SetWriteDeadline(time.Time{}) != nil {
		return ended
	}
	c.queried = true
	begun, wait, last := time.Now(), queryTimeout, false
	for {
		data, err := c.awaitReply(time.Now().Add(wait))
		switch {
		case err == nil && q.ParseReply(0, data) == upstream.Multiplexing:
			return openUnless(c.SetReadDeadline(time.Time{}), shared)
		case err == nil:
			return openUnless(c.SetReadDeadline(time.Time{}), single)
		case !isTimeout(err) || c.in.Received() > 0:
			return ended
		case last:
			return openUnless(c.SetReadDeadline(time.Time{}), p.classifySilence(c.inst, begun))
		}
		if last = !p.awaitsReply(d, begun); last {
			wait = time.Millisecond // an answer may be there that there was no processor to read in time
		}
	}
}

// awaitReply returns the data of the next reply. Any other event is an error.
func (c *conn) awaitReply(until time.Time) ([]byte, error) {
	if err := c.SetReadDeadline(until); err != nil {
		return nil, err
	}
	for {
		ev, err := c.in.Next()
		switch {
		case ev.Kind == upstream.Reply:
			return ev.Data, nil
		case ev.Kind != 0:
			return nil, errNotAReply
		case err != nil:
			return nil, err
		case c.interrupted.Load():
			return nil, ErrInterrupted
		}
		n, err := c.Read(c.in.Space())
		if c.in.Filled(n); n == 0 {
			return nil, err
		}
	}
}

var errNotAReply = &upstream.FormatError{Err: errors.New("pool: the application answers a request instead of replying to the query")}

func openUnless(err error, r reply) reply {
	if err != nil {
		return ended
	}
	return r
}

// servesBeside reports whether others were answered some time after a question was
// asked: what was answered right after it may have been the last before a stop.
func (in *instance) servedDuring(asked time.Time) bool {
	return in.served.After(asked.Add(queryTimeout / 2))
}

// acceptsAt reports whether the application accepted a connection not long before a
// question was asked, if only to close it: it is not taken for one that is starting or
// stopped, and the connection that it was asked on would be closed at once if there were
// no room for it.
func (in *instance) acceptedBefore(asked time.Time) bool {
	return !in.observed.closedAt.IsZero() && asked.Sub(in.observed.closedAt) < growEvery
}

// silence tells an application that does not answer from one that does nothing.
func (p *Pool) classifySilence(in *instance, begun time.Time) reply {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case in.servedDuring(begun):
		return silent
	case time.Since(begun) < startTimeout && !in.acceptedBefore(begun):
		return undecided
	}
	return stalled
}

// keepAsking reports whether an answer that has not come for askTimeout may still. Of
// an application that answered before it will, or the connection is closed, unless it
// goes on serving others: then it is another one by now. One that never answered, and
// serves others meanwhile or has just turned one away, does not answer. One that serves
// nobody may be starting, or stopped. Where a request need not be sure that somebody reads
// the connection, it waits no longer for an application that is stopped.
func (p *Pool) awaitsReply(d *dial, begun time.Time) bool {
	in, w := d.conn.inst, d.w
	select {
	case <-w.done:
		return false
	case <-d.ctx.Done():
		return false
	default:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	patient := time.Since(begun) < startTimeout
	serves := in.servedDuring(begun)
	switch {
	case in.behaviour.replies && !d.trial:
		return patient || !serves
	case serves, in.acceptedBefore(begun), !w.demand.NoReplay && !in.served.IsZero():
		return false // it is of no use to the request
	}
	return patient
}
