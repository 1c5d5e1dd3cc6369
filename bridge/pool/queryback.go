package pool

import (
	"context"
	"errors"
	"time"

	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// Where nobody can see whether the process of a connection is back after its answer, a query
// is sent on the connection; the process is back when it replies. Most reply before the
// connection is used again. Old versions of PHP close the connection after the reply: such
// an instance gets no queries for a while, and if nothing can be seen either, its
// connections are not kept. Nor are they if the application never replies.

// replyDue is the Unread of such a connection: what is unread is the query.
type replyDue struct {
	c       *conn
	due     bool // a query was sent, and the reply has not come
	replied bool // the reply to the last query has come
	known   bool // the pool knows that the application replies
	p       *Pool
}

// prepareReuse makes sure that it can be known, when the connection is used again, whether
// its process is back. It returns false if that is impossible.
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

// muteAfter is how long the reply of an application that has never replied is waited for.
const muteAfter = time.Second

// isMute reports whether the process of c does not reply to queries, rather than being at
// work: a reply is due, and the application has never replied. It gets no queries for a
// while.
func (p *Pool) isMute(c *conn) bool {
	if a, queried := c.unread.(*replyDue); !queried || !a.due {
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

// isDirectlySeen reports whether the kernel tells what the application itself has read. A
// proxy in between reads all it can. If just the end of the body is unread, which is end
// bytes, PHP itself is at the other side.
func (c *conn) isDirectlySeen(end int) bool {
	switch {
	case c.kernel == nil:
		return false
	case c.inst.Relayed && !c.isDirect:
		n, err := c.kernel.Bytes()
		if c.isDirect = n == end && n > 0; err != nil {
			c.kernel = nil // the other side is on another machine, or in a container
		}
	default:
		c.isDirect = true
	}
	if c.isDirect {
		c.unread = c.kernel
	}
	return c.isDirect
}

// queryBack sends the query. The reply is read when the connection is used again.
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

// Any reports whether the reply is due. It reads a reply that has come.
func (a *replyDue) Any() (bool, error) {
	if !a.due || a.c.raw == nil || a.c.isQuiet() {
		return a.due, nil
	}
	// Something has come, or the end of the connection.
	return a.due, a.take(time.Now().Add(backTimeout))
}

// Bytes is 1 if the reply is due.
func (a *replyDue) Bytes() (int, error) {
	if some, err := a.Any(); !some || err != nil {
		return 0, err
	}
	return 1, nil
}

// AwaitUntil waits for the reply until t.
func (a *replyDue) AwaitUntil(t time.Time) error {
	if !a.due {
		return nil
	}
	return a.take(t)
}

// Await waits for the reply.
func (a *replyDue) Await(ctx context.Context) error {
	if !a.due {
		return nil
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = a.c.Conn.SetReadDeadline(time.Unix(1, 0)) // fails only if the connection is closed already
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

// take reads until the reply is complete, or until a time. If something else comes, or the
// end of the connection, usable reports that later.
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
