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
	fixed                      // to all of them with what is fixed in a library (upstream.Fixed)
)

// ask asks on a connection that no request uses, until a time at most.
func (c *conn) ask(q upstream.Inquirer, until time.Time) manner {
	c.asked = true // an answer may come too late
	for n := range q.Questions() {
		answer, err := c.question(q, n, until)
		switch {
		case isTimeout(err) && c.caughtUp():
			return readOnly
		case isTimeout(err):
			return notAtAll
		case err != nil:
			return hungUp
		case answer == upstream.Multiplexes:
			return multiplexing
		case answer != upstream.Fixed:
			return plainly
		}
	}
	return fixed
}

// question asks one question.
func (c *conn) question(q upstream.Inquirer, n int, until time.Time) (upstream.Answer, error) {
	if err := c.write(q.AppendQuestion(nil, n), until); err != nil {
		return 0, err
	}
	data, err := c.awaitReply(until)
	if err != nil {
		return 0, err
	}
	return q.Judge(n, data), nil
}
