package pool

import (
	"context"
	"errors"
	"time"

	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// Where it cannot be seen whether the process of a connection is back after its answer, it
// is asked something, and is back when that is answered. Most have answered before the
// connection is used again. PHP of old closes the connection after the answer: it is not
// asked for a while, and if it cannot be seen either, its connections are not kept. Nor is
// what never answers.

// answerDue is the Unread of such a connection. What is not read is the question.
type replyDue struct {
	c       *conn
	due     bool // it was asked, and has not answered
	replied bool // it has, the last time
	known   bool // the pool knows that it answers
	p       *Pool
}

// prepare has it found out whether the process of a connection is back when that is used
// again, and reports whether that can be.
func (p *Pool) prepareReuse(c *conn) bool {
	if !p.config().WorksOn || c.mux != nil {
		return true
	}
	if _, end := p.config().Codec.BodyOverhead(); c.isDirectlySeen(end) {
		return true
	}
	p.mu.Lock()
	offends := c.inst.behaviour.ignoresQueries()
	c.inst.behaviour.unverifiable = offends && c.kernel == nil
	p.mu.Unlock()
	if !offends {
		p.queryBack(c)
		return true
	}
	c.unread = c.kernel
	return c.kernel != nil
}

// mayBeMute is how long an application that has never answered a question is waited for.
const muteAfter = time.Second

// muted reports whether the process of c is taken for one that does not answer questions,
// rather than for one at work: it was asked, and none has ever answered. It is not asked
// again for a while.
func (p *Pool) isMute(c *conn) bool {
	if a, asked := c.unread.(*replyDue); !asked || !a.due {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	h := &c.inst.behaviour
	if !h.replies {
		h.noQueryBefore = time.Now().Add(queryAgainSilent)
	}
	return !h.replies
}

// direct reports whether what the kernel tells is true of the application. Something in
// between reads all it can; what leaves nothing but the end of the body, of so many bytes,
// is PHP itself.
func (c *conn) isDirectlySeen(end int) bool {
	switch {
	case c.kernel == nil:
		return false
	case c.inst.Relayed && !c.isDirect:
		n, err := c.kernel.Bytes()
		if c.isDirect = n == end && n > 0; err != nil {
			c.kernel = nil // it is on another machine, or in a container
		}
	default:
		c.isDirect = true
	}
	if c.isDirect {
		c.unread = c.kernel
	}
	return c.isDirect
}

// askBack asks. What becomes of that is seen when the connection is used again.
func (p *Pool) queryBack(c *conn) {
	a, ok := c.unread.(*replyDue)
	if !ok {
		a = &replyDue{c: c, p: p}
		c.unread = a
	}
	c.queried, a.due, a.replied = true, true, false
	c.interrupted.Store(false)
	_ = c.Send(p.querier().AppendQuery(nil, 0), time.Now().Add(queryWriteTimeout))
}

// Any reports whether the answer is due, and takes it if it has come.
func (a *replyDue) Any() (bool, error) {
	if !a.due || a.c.raw == nil || a.c.isQuiet() {
		return a.due, nil
	}
	// Something has come, or the end. What is left of an answer comes with the rest of it.
	return a.due, a.take(time.Now().Add(backTimeout))
}

// Bytes is the number of answers that are due.
func (a *replyDue) Bytes() (int, error) {
	if some, err := a.Any(); !some || err != nil {
		return 0, err
	}
	return 1, nil
}

// AwaitUntil waits for the answer, for a moment.
func (a *replyDue) AwaitUntil(t time.Time) error {
	if !a.due {
		return nil
	}
	return a.take(t)
}

// Await waits for the answer.
func (a *replyDue) Await(ctx context.Context) error {
	if !a.due {
		return nil
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = a.c.SetReadDeadline(time.Unix(1, 0)) // fails only if the connection is closed already
		close(interrupted)
	})
	err := a.take(time.Time{})
	if !stop() {
		<-interrupted
		if err != nil {
			return context.Cause(ctx)
		}
	}
	return err
}

// take reads until the answer is there whole, or until a time. What is no answer, or the
// end of the connection, is found when that is used again.
func (a *replyDue) take(until time.Time) error {
	c := a.c
	for a.due {
		_, err := c.awaitReply(until)
		var format *upstream.FormatError
		switch {
		case err == nil:
			a.due = !c.in.Clean()
			a.replied = a.replied || !a.due
		case isTimeout(err):
			return err
		case errors.As(err, &format):
			a.due, c.failed = false, err
		default:
			a.due, c.failed = false, c.reason(err)
		}
		if a.replied && !a.known {
			a.known = true
			a.p.noteReplies(c.inst)
		}
	}
	return nil
}
