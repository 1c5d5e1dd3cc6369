package connlimit

import "net"

// Half-closed connections of a client are limited to its share, because it is not certain that the
// client still waits, and its requests take workers. Further ones count as connections of a client
// that has left.

// Permit reports whether a connection may count as half closed: its client has closed its sending
// side and waits. If it returns true, Done must be called after the answer.
func (l *Limit) Permit(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[c]
	if e == nil || e.halfClosed || !e.client.exempt && e.client.numHalfClosed >= l.share() {
		return false
	}
	e.halfClosed = true
	e.client.numHalfClosed++
	l.numHalfClosed++
	return true
}

// Done undoes Permit.
func (l *Limit) Done(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[c]; e != nil { // nil if it was removed
		l.endHalfClosed(e)
	}
}

// endHalfClosed ends the state half closed of e. mu is held.
func (l *Limit) endHalfClosed(e *entry) {
	if e.halfClosed {
		e.halfClosed = false
		e.client.numHalfClosed--
		l.numHalfClosed--
	}
}
