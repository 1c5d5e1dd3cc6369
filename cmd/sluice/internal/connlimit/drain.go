package connlimit

import (
	"context"
	"net"
	"net/http"
	"time"
)

const (
	// newGrace is how long a connection without a request may hold a drain: the request is
	// on its way if the client has connected just now.
	newGrace = 250 * time.Millisecond
	// keptGrace is how long a kept connection must have been idle to be closed by a drain:
	// the server may have read the next request of a client that does not wait for answers.
	keptGrace = 50 * time.Millisecond
	// cutGrace is how long requests that are cut may take to end.
	cutGrace = time.Second
)

// Drain closes the listener, waits until no connection carries a request, and closes those
// that carry none: the kept ones soon, and at the end those that have never had a request.
// The server must keep no connection after an answer, and refuse what requests still come.
// Drain returns ctx's error if that ends first.
func (l *Limit) Drain(ctx context.Context) error {
	begun := time.Now()
	l.mu.Lock()
	l.draining = true
	l.mu.Unlock()
	if l.listener != nil {
		_ = l.listener.Close() // it accepts nothing more either way
	}
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

// closeIdle closes what carries no request and may go, and returns when to look again. It
// returns 0 when there is nothing left.
func (l *Limit) closeIdle(begun time.Time) (again time.Duration) {
	var out []net.Conn
	l.mu.Lock()
	actives := len(l.entries) - l.idles
	again = time.Hour // or when something changes
	for n := l.idle.root.next; n.entry != nil; {
		e := n.entry
		n = n.next // before e leaves the list
		var left time.Duration
		switch {
		case e.kept:
			left = keptGrace - time.Since(e.since)
		case actives > 0:
			continue // its request is told to come again
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
		_ = c.Close() // it is gone either way
	}
	return again
}

// Requests returns how many connections carry a request.
func (l *Limit) Requests() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries) - l.idles
}

// Cut ends all connections. Requests whose contexts were canceled have a moment to end by
// themselves. Those that do not are reset, so that no answer looks complete.
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
		if e.state == active {
			reset(c)
		}
		out = append(out, c)
		l.remove(e)
	}
	l.mu.Unlock()
	for _, c := range out {
		_ = c.Close() // it is gone either way
	}
}

// note tells a drain that something has changed. It is called with mu held.
func (l *Limit) note(s http.ConnState) {
	if !l.draining || s == http.StateNew {
		return
	}
	select {
	case l.changed <- struct{}{}:
	default: // it knows
	}
}
