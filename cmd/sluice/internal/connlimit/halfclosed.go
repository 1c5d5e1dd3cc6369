package connlimit

import "net"

// A client may wait for answers on so many connections whose sending side it has closed as
// is its share: nobody can be sure that it is still there, and its requests take workers.
// More are taken for a client that has left.

// Permit reports whether a connection may be taken for one whose client has closed its
// sending side only. If so, Done must be called when the answer has been sent.
func (l *Limit) Permit(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[c]
	if e == nil || e.half || !e.client.exempt && e.client.halves >= l.share() {
		return false
	}
	e.half = true
	e.client.halves++
	l.halves++
	return true
}

// Done undoes Permit.
func (l *Limit) Done(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[c]; e != nil { // else it was removed
		l.whole(e)
	}
}

// whole forgets that e was half closed. It is called with mu held.
func (l *Limit) whole(e *entry) {
	if e.half {
		e.half = false
		e.client.halves--
		l.halves--
	}
}
