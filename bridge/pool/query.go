package pool

import (
	"errors"
	"time"

	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// Where the protocol has queries, one may be sent on a new connection before a request. The
// reply is of use twice: it says whether requests can share the connection, and it proves
// that somebody reads the connection, so that it will not be closed because the application
// is full. If it is closed, nothing is lost, as no request was sent. All servers that were
// measured serve requests after a query, whether they reply or not.
const (
	// queryTimeout is how long an application that serves others meanwhile may take to
	// reply. Most reply at once; uWSGI never does.
	queryTimeout      = 250 * time.Millisecond
	queryWriteTimeout = 5 * time.Second // to write the query
	// startTimeout is how long an application that serves nobody meanwhile may take. It may
	// be starting, with its socket made before, or it may be stopped.
	startTimeout = 2 * time.Second
	// After queryAgainStalled, such an application is queried again; after
	// queryAgainSilent, one that served others and did not reply.
	queryAgainStalled = 10 * time.Second
	queryAgainSilent  = 10 * time.Minute
)

// reply is the result of a query on a new connection.
type reply uint8

const (
	notQueried reply = iota
	silent           // no reply, though the application served others meanwhile
	stalled          // no reply for startTimeout, or ever after it turned a connection away; it served nobody
	undecided        // no reply, for less than that
	ended            // the application closed the connection
	single           // it replied, and not that it multiplexes
	shared           // it replied that it multiplexes
)

// proof reports whether somebody reads the connection.
func (r reply) proof() bool { return r == single || r == shared }

// multiplexState is what a reply says about multiplexing.
func (r reply) multiplexState() multiplexState {
	if r == shared {
		return multiplexYes
	}
	return multiplexNo
}

// queryNew sends a query on a new connection. It stops when the connection is not needed.
func (p *Pool) queryNew(d *dial) reply {
	c, q := d.conn, p.querier()
	// The query fits into the socket's buffer: the write does not wait for the application.
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
			wait = time.Millisecond // a reply may have come that there was no processor to read
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

// servedDuring reports whether a request was answered some time after a query was sent. An
// answer right after it may have been the last before the application stopped.
func (in *instance) servedDuring(queriedAt time.Time) bool {
	return in.served.After(queriedAt.Add(queryTimeout / 2))
}

// acceptedBefore reports whether the application accepted a connection, if only to close it,
// not long before a query was sent. Then it is not starting or stopped, and it would have
// closed the connection of the query at once if it was full.
func (in *instance) acceptedBefore(queriedAt time.Time) bool {
	return !in.observed.closedAt.IsZero() && queriedAt.Sub(in.observed.closedAt) < growEvery
}

// classifySilence says why no reply has come.
func (p *Pool) classifySilence(in *instance, begun time.Time) reply {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case in.servedDuring(begun):
		return silent
	case time.Since(begun) < startTimeout && !(in.repliedAt.IsZero() && in.acceptedBefore(begun)):
		return undecided
	}
	return stalled
}

// awaitsReply reports whether a reply that has not come within queryTimeout is waited for:
//   - An application that replied before will reply or close the connection. If it serves
//     others without replying, it is another application now.
//   - An application that serves others will not reply. Neither will one that never replied,
//     and has turned a connection away.
//   - An application that serves nobody may be starting, or stopped. A request that does not
//     need to be sure that the connection is read does not wait if the application has served
//     before, or has turned a connection away.
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
	case serves:
		return false
	case !w.demand.NoReplay:
		return patient && in.served.IsZero() && !in.acceptedBefore(begun)
	case in.repliedAt.IsZero():
		return patient && !in.acceptedBefore(begun)
	}
	return patient
}
