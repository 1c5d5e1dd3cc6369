package pool

import "time"

const (
	// settledAfter is how long a kept connection must have been quiet for a request
	// that cannot be sent again: long enough for an application that has said
	// END_REQUEST to be given the processor again and close, if it means to.
	settledAfter = 100 * time.Millisecond
	// closesAfter is how many connections in a row an application must have closed
	// after their first answer before that is expected of the next.
	closesAfter = 3
	// eofWithin is how long the end of such a connection is waited for.
	eofWithin = settledAfter
)

// habits is what was seen of how an instance treats kept connections.
type habits struct {
	always     bool      // it closes some of its own accord: Config.Retires
	retiredAt  time.Time // when it was last seen to
	closedOnce int       // connections in a row that it closed after one answer
	kept       bool      // it was seen to keep one after an answer

	workedOnAt time.Time // when a process was last seen to work on after its answer
	unseen     bool      // a connection was closed because nobody could tell whether its process was back

	noQueries   bool      // its protocol has no queries
	answers     bool      // it has answered a question (ask)
	silentUntil time.Time // it does not answer questions; when it may be asked again
}

// rememberFor is how long an application that closed a kept connection is expected
// to close others. It may just have been restarted.
const rememberFor = 10 * time.Minute

// retires reports whether the application closes kept connections of its own accord.
func (h *habits) retires() bool {
	return h.always || !h.retiredAt.IsZero() && time.Since(h.retiredAt) < rememberFor
}

// closes reports whether the application closes every connection after its answer,
// as uWSGI does whatever it is asked for.
func (h *habits) closes() bool { return h.closedOnce >= closesAfter }

// silent reports whether the application is known not to answer questions.
func (h *habits) silent() bool { return h.noQueries || time.Now().Before(h.silentUntil) }

// forget lets the application be asked again: it may be another one when it is back.
func (h *habits) forget() { h.answers, h.silentUntil = false, time.Time{} }

// noteOffended remembers that the application answered a question and then closed the
// connection: it is not asked again for a while.
func (p *Pool) noteOffended(in *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	in.habits.answers, in.habits.silentUntil = false, time.Now().Add(askAgainAfter)
}

// noteAnswers remembers that the application answers questions.
func (p *Pool) noteAnswers(in *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	in.habits.answers = true
}

// noteClosed remembers that the application closed a kept connection.
func (p *Pool) noteClosed(c *conn) {
	if a, asked := c.unread.(*answerDue); asked && a.answered {
		p.noteOffended(c.inst)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sawClosed(c)
}

// sawClosed is noteClosed for who holds the mutex.
func (p *Pool) sawClosed(c *conn) {
	p.forgetKept(c.inst, false)
	h := &c.inst.habits
	h.retiredAt = time.Now()
	if c.mux == nil && c.ended == 1 && h.closedOnce < closesAfter {
		h.closedOnce++
	}
}

// noteKept remembers that a connection was there after its first answer.
func (p *Pool) noteKept(in *instance) { in.habits.closedOnce, in.habits.kept = 0, true }
