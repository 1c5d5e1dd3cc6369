package pool

import "time"

const (
	// settledAfter is how long a kept connection must have been quiet for a request
	// that cannot be sent again: long enough for an application that has said
	// END_REQUEST to be given the processor again and close, if it means to.
	noReplayQuiet = 100 * time.Millisecond
	// closesAfter is how many connections in a row an application must have closed
	// after their first answer before that is expected of the next.
	closesAlwaysAfter = 3
	// eofWithin is how long the end of such a connection is waited for.
	eofTimeout = noReplayQuiet
)

// habits is what was seen of how an instance treats kept connections.
type behaviour struct {
	closesIdleByConfig bool      // it closes some of its own accord: Config.Retires
	closedIdleAt       time.Time // when it was last seen to
	closedAfterFirst   int       // connections in a row that it closed after one answer
	keptOpen           bool      // it was seen to keep one after an answer

	workedOnAt   time.Time // when a process was last seen to work on after its answer
	unverifiable bool      // a connection was closed because nobody could tell whether its process was back

	noQueries     bool      // its protocol has no queries
	replies       bool      // it has answered a question (ask)
	noQueryBefore time.Time // it does not answer questions; when it may be asked again
}

// rememberFor is how long an application that closed a kept connection is expected
// to close others. It may just have been restarted.
const rememberFor = 10 * time.Minute

// retires reports whether the application closes kept connections of its own accord.
func (h *behaviour) closesIdle() bool {
	return h.closesIdleByConfig || !h.closedIdleAt.IsZero() && time.Since(h.closedIdleAt) < rememberFor
}

// closes reports whether the application closes every connection after its answer,
// as uWSGI does whatever it is asked for.
func (h *behaviour) closesAlways() bool { return h.closedAfterFirst >= closesAlwaysAfter }

// silent reports whether the application is known not to answer questions.
func (h *behaviour) ignoresQueries() bool { return h.noQueries || time.Now().Before(h.noQueryBefore) }

// forget lets the application be asked again: it may be another one when it is back.
func (h *behaviour) forget() { h.replies, h.noQueryBefore = false, time.Time{} }

// noteOffended remembers that the application answered a question and then closed the
// connection: it is not asked again for a while.
func (p *Pool) noteQueryOffends(in *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	in.behaviour.replies, in.behaviour.noQueryBefore = false, time.Now().Add(queryAgainClosed)
}

// noteAnswers remembers that the application answers questions.
func (p *Pool) noteReplies(in *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	in.behaviour.replies = true
}

// noteClosed remembers that the application closed a kept connection.
func (p *Pool) noteClosedIdle(c *conn) {
	if a, asked := c.unread.(*replyDue); asked && a.replied {
		p.noteQueryOffends(c.inst)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.noteClosedIdleLocked(c)
}

// sawClosed is noteClosed for who holds the mutex.
func (p *Pool) noteClosedIdleLocked(c *conn) {
	p.resetKeep(c.inst, false)
	h := &c.inst.behaviour
	h.closedIdleAt = time.Now()
	if c.mux == nil && c.ended == 1 && h.closedAfterFirst < closesAlwaysAfter {
		h.closedAfterFirst++
	}
}

// noteKept remembers that a connection was there after its first answer.
func (p *Pool) noteKeptOpen(in *instance) {
	in.behaviour.closedAfterFirst, in.behaviour.keptOpen = 0, true
}
