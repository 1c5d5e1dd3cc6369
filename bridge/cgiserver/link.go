package cgiserver

import (
	"net"
	"sync"
	"time"
)

// lingerFor is how long a web server may go on sending what nobody reads, after its answer. A
// socket that is closed with bytes unread is reset, and the answer may be lost.
const lingerFor = 2 * time.Second

// link is the sending side of a connection. Answers take turns.
type link struct {
	net     net.Conn
	timeout time.Duration // for each write without a deadline of its own

	turn sync.Mutex // held while something is written
	err  error      // guarded by turn: a write has failed; part of a record may be out

	mu     sync.Mutex
	writer *response // whose turn it is; its deadline is the connection's
}

// write writes b for w, which may be nil. It is not called with l.mu held.
func (l *link) write(w *response, b []byte) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.err != nil {
		return l.err
	}
	l.mu.Lock()
	l.writer = w
	deadline := time.Now().Add(l.timeout)
	if w != nil && !w.deadline.IsZero() {
		deadline = w.deadline
	}
	err := l.net.SetWriteDeadline(deadline)
	l.mu.Unlock()
	if err == nil {
		_, err = l.net.Write(b)
	}
	l.mu.Lock()
	l.writer = nil
	l.mu.Unlock()
	if err != nil {
		l.err = err
		_ = l.net.Close() // the rest would be read as something else
	}
	return err
}

// setDeadline sets the deadline of w's writes, also of one under way.
func (l *link) setDeadline(w *response, t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.deadline = t
	if l.writer != w {
		return nil
	}
	if t.IsZero() {
		t = time.Now().Add(l.timeout)
	}
	return l.net.SetWriteDeadline(t)
}

// end closes the connection after an answer, or only its sending side if the web server may
// still be sending: then the reading goroutine closes it after lingerFor at most.
func (l *link) end(unread bool) {
	half, ok := l.net.(interface{ CloseWrite() error })
	if unread && ok && half.CloseWrite() == nil {
		_ = l.net.SetReadDeadline(time.Now().Add(lingerFor)) // else it was closed meanwhile
		return
	}
	_ = l.net.Close() // the answer was sent
}

// truncate closes the connection after an answer that is not complete, and mark, which says so.
// Without a mark the connection is reset, where that is possible.
func (l *link) truncate(mark []byte) {
	if len(mark) > 0 {
		_ = l.write(nil, mark) // else there is no use in saying so
	}
	if tcp, ok := l.net.(interface{ SetLinger(sec int) error }); ok && len(mark) == 0 {
		_ = tcp.SetLinger(0) // without it, Close is an ordinary one
	}
	_ = l.net.Close() // it is to end
}
