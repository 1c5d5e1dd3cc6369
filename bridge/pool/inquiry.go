package pool

import (
	"time"

	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// manner is how an application answers questions on a connection that it is to keep.
type manner uint8

const (
	notAtAll     manner = iota // it has not read them, as far as can be seen
	readOnly                   // it has read them, and says nothing
	hungUp                     // it has closed the connection
	plainly                    // in some way
	multiplexing               // it says that it multiplexes
	fixed                      // to all of them with what is fixed in a library (upstream.LibraryDefaults)
)

// ask asks on a connection that no request uses, until a time at most.
func (c *conn) ask(q upstream.Querier, until time.Time) manner {
	c.asked = true // an answer may come too late
	for n := range q.Queries() {
		answer, err := c.question(q, n, until)
		switch {
		case isTimeout(err) && c.caughtUp():
			return readOnly
		case isTimeout(err):
			return notAtAll
		case err != nil:
			return hungUp
		case answer == upstream.Multiplexing:
			return multiplexing
		case answer != upstream.LibraryDefaults:
			return plainly
		}
	}
	return fixed
}

// question asks one question.
func (c *conn) question(q upstream.Querier, n int, until time.Time) (upstream.QueryResult, error) {
	if err := c.write(q.AppendQuery(nil, n), until); err != nil {
		return 0, err
	}
	data, err := c.awaitReply(until)
	if err != nil {
		return 0, err
	}
	return q.ParseReply(n, data), nil
}
