package pool

import "time"

const (
	// noReplayQuiet is how long a kept connection must have been quiet for a request that
	// cannot be sent again: an application that closes connections after END_REQUEST has
	// closed it by then, even on a busy machine.
	noReplayQuiet = 100 * time.Millisecond
	// closesAlwaysAfter is after how many connections in a row, each closed after its first
	// answer, the next is expected to be closed, too.
	closesAlwaysAfter = 3
	// eofTimeout is how long the end of such a connection is waited for.
	eofTimeout = noReplayQuiet
)

// behaviour is how an instance was seen to treat kept connections and queries.
type behaviour struct {
	closesIdleByConfig bool      // Config.ClosesIdle
	closedIdleAt       time.Time // when it last closed a kept connection
	closedAfterFirst   int       // connections in a row that it closed after their first answer
	keptOpen           bool      // it has left a connection open after an answer

	workedOnAt   time.Time // when a process was last seen to work on after its answer
	unverifiable bool      // nobody can tell whether a process is back: connections are not kept

	noQueries     bool      // the protocol has no queries
	replies       bool      // it has replied to a query
	noQueryBefore time.Time // it does not reply: when the next query may be sent
}

// rememberFor is how long an application that closed a kept connection is expected to close
// others. It may only have been restarted.
const rememberFor = 10 * time.Minute

// closesIdle reports whether the application closes kept connections.
func (h *behaviour) closesIdle() bool {
	return h.closesIdleByConfig || !h.closedIdleAt.IsZero() && time.Since(h.closedIdleAt) < rememberFor
}

// closesAlways reports whether the application closes every connection after its answer, as
// uWSGI does.
func (h *behaviour) closesAlways() bool { return h.closedAfterFirst >= closesAlwaysAfter }

// ignoresQueries reports whether the application is known not to reply to queries.
func (h *behaviour) ignoresQueries() bool { return h.noQueries || time.Now().Before(h.noQueryBefore) }

// forget lets queries be sent again: it may be another application when it is back.
func (h *behaviour) forget() { h.replies, h.noQueryBefore = false, time.Time{} }

// noteQueryOffends notes that the application replied to a query and then closed the
// connection: it gets no queries for a while.
func (p *Pool) noteQueryOffends(in *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	in.behaviour.replies, in.behaviour.noQueryBefore = false, time.Now().Add(queryAgainClosed)
}

// noteReplies notes that the application replies to queries.
func (p *Pool) noteReplies(in *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	in.behaviour.replies = true
}

// noteClosedIdle notes that the application closed a kept connection.
func (p *Pool) noteClosedIdle(c *conn) {
	if a, queried := c.unread.(*replyDue); queried && a.replied {
		p.noteQueryOffends(c.inst)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.noteClosedIdleLocked(c)
}

// noteClosedIdleLocked is noteClosedIdle for callers that hold the mutex.
func (p *Pool) noteClosedIdleLocked(c *conn) {
	p.resetKeep(c.inst, false)
	h := &c.inst.behaviour
	h.closedIdleAt = time.Now()
	if c.mux == nil && c.ended == 1 && h.closedAfterFirst < closesAlwaysAfter {
		h.closedAfterFirst++
	}
}

// noteKeptOpen notes that the application has left a connection open after its first answer.
func (p *Pool) noteKeptOpen(in *instance) {
	in.behaviour.closedAfterFirst, in.behaviour.keptOpen = 0, true
}
