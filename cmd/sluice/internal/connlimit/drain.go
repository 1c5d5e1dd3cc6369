package connlimit

import (
	"context"
	"net"
	"net/http"
	"slices"
	"time"
)

const (
	// newGrace is how long connections that have had no request may delay a drain: the request
	// may be on its way.
	newGrace = 250 * time.Millisecond
	// keptGrace is how long a kept connection must have been idle to be closed by a drain: the
	// server may have read the next of several pipelined requests.
	keptGrace = 50 * time.Millisecond
	// selfGrace is how long connections have, from their last request and from the beginning of a drain,
	// that the server ends: net/http does so a second after GOAWAY. A moment after HTTP/2 is idle, the end
	// of its last answer is still being sent.
	selfGrace = 2 * time.Second
	// cutGrace is how long requests that are cut may take to end.
	cutGrace = time.Second
)

// StopAccepting closes the listeners, and gives the connections that it has accepted newGrace for
// requests that are on their way, which the server still answers: their clients would not have been
// refused a moment later, if a successor accepts from the same socket. It returns earlier if no
// connection can have such a request. Drain follows.
func (l *Limit) StopAccepting() {
	l.closeListeners()
	t := time.NewTimer(newGrace)
	defer t.Stop()
	for l.awaitsRequest() {
		select {
		case <-l.changed:
		case <-t.C:
			return
		}
	}
}

// awaitsRequest reports whether there are connections besides kept ones without a request. One that
// has just become active may be active because of a part of a header.
func (l *Limit) awaitsRequest() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if e.state != stateIdle || !e.hadRequest {
			return true
		}
	}
	return false
}

// closeListeners accepts nothing more. It may be called again.
func (l *Limit) closeListeners() {
	l.mu.Lock()
	l.draining = true
	listeners := slices.Clone(l.listeners)
	l.mu.Unlock()
	for _, ln := range listeners {
		_ = ln.Close() // it accepts nothing more either way
	}
}

// Drain closes the listeners and waits until no connection carries a request. It closes kept
// connections without a request soon, and those that have never had a request at the end. The
// server must close each connection after its answer, and refuse new requests. Drain returns ctx's
// error if ctx ends first.
func (l *Limit) Drain(ctx context.Context) error {
	begun := time.Now()
	l.closeListeners()
	for {
		next := l.closeIdle(begun)
		if next == 0 {
			return nil
		}
		t := time.NewTimer(next)
		select {
		case <-l.changed:
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
		t.Stop()
	}
}

// closeIdle closes the connections without a request that a drain may close now, and returns the
// time until the next call, 0 if no connection is left.
func (l *Limit) closeIdle(begun time.Time) (again time.Duration) {
	var out []net.Conn
	l.mu.Lock()
	actives := len(l.entries) - l.numIdle
	again = time.Hour // Drain also calls again after each change
	for n := l.idle.root.next; n.entry != nil; {
		e := n.entry
		n = n.next // before e leaves the list
		var left time.Duration
		switch {
		case e.endsItself && e.hadRequest:
			left = selfGrace - min(time.Since(begun), time.Since(e.idleSince))
		case e.hadRequest:
			left = keptGrace - time.Since(e.idleSince)
		case actives > 0:
			continue // its request will be refused
		default:
			left = newGrace - time.Since(begun)
		}
		if left > 0 {
			again = min(again, left)
			continue
		}
		out = append(out, e.conn)
		l.remove(e)
	}
	if len(l.entries) == 0 {
		again = 0
	}
	l.mu.Unlock()
	for _, c := range out {
		_ = c.Close() // it is removed in any case
	}
	return again
}

// Requests returns how many connections carry a request.
func (l *Limit) Requests() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries) - l.numIdle
}

// Cut ends all connections. Requests, whose contexts were canceled, have cutGrace to end. After
// that, their connections are reset, so that no answer looks complete.
func (l *Limit) Cut() {
	t := time.NewTimer(cutGrace)
	defer t.Stop()
	for waiting := l.Requests() > 0; waiting; {
		select {
		case <-l.changed:
			waiting = l.Requests() > 0
		case <-t.C:
			waiting = false
		}
	}
	var out []net.Conn
	l.mu.Lock()
	for c, e := range l.entries {
		if e.state == stateActive {
			reset(c)
		}
		out = append(out, c)
		l.remove(e)
	}
	l.mu.Unlock()
	for _, c := range out {
		_ = c.Close() // it is removed in any case
	}
}

// notifyDrain wakes Drain or Cut after a change. mu is held.
func (l *Limit) notifyDrain(s http.ConnState) {
	if !l.draining || s == http.StateNew {
		return
	}
	select {
	case l.changed <- struct{}{}:
	default: // it is awake already
	}
}
