package pool

import (
	"time"

	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// manner is how an application answers questions on a connection that it is to keep.
type keptReply uint8

const (
	keptUnread      keptReply = iota // it has not read them, as far as can be seen
	keptRead                         // it has read them, and says nothing
	keptClosed                       // it has closed the connection
	keptReplied                      // in some way
	keptMultiplexes                  // it says that it multiplexes
	keptLibrary                      // to all of them with what is fixed in a library (upstream.LibraryDefaults)
)

// ask asks on a connection that no request uses, until a time at most.
func (c *conn) queryKept(q upstream.Querier, until time.Time) keptReply {
	c.queried = true // an answer may come too late
	for n := range q.Queries() {
		answer, err := c.query(q, n, until)
		switch {
		case isTimeout(err) && c.hasReadAll():
			return keptRead
		case isTimeout(err):
			return keptUnread
		case err != nil:
			return keptClosed
		case answer == upstream.Multiplexing:
			return keptMultiplexes
		case answer != upstream.LibraryDefaults:
			return keptReplied
		}
	}
	return keptLibrary
}

// question asks one question.
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
