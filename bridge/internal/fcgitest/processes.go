package fcgitest

import (
	"slices"
	"sync"
	"time"
)

// silence is how long PHP waits for the first byte of a new connection.
const silence = 5 * time.Second

// Processes answers requests with f in n processes for all connections, like PHP-FPM. A connection keeps a
// process until it is closed, idle or not; without FCGI_KEEP_CONN, the process closes its sending side after
// the answer, and waits until the peer closes. Further connections wait unread, first come, first served; the
// peer counts them as open. A connection without a record for 5 s is closed.
func Processes(n int, f func(*Session, *Request)) Script {
	w := &workers{free: n}
	return func(s *Session) {
		if !w.wait(s) {
			return
		}
		defer w.leave()
		DropsSilent(silence, func(s *Session) {
			for {
				r := s.Request()
				f(s, r)
				if r.Flags&KeepConn == 0 {
					if half, ok := s.Conn.(interface{ CloseWrite() error }); ok {
						_ = half.CloseWrite() // the peer may have closed
					}
					s.Gone()
					return
				}
			}
		})(s)
	}
}

// workers is a number of processes that serve one connection each at a time.
type workers struct {
	mu      sync.Mutex
	free    int // zero while waiting is not empty
	waiting []waiter
}

// waiter is a connection in the backlog.
type waiter struct {
	session *Session
	turn    chan struct{} // closed when a worker has taken it
}

// wait reports whether a worker has taken s; if not, the peer is stopped.
func (w *workers) wait(s *Session) bool {
	turn := w.take(s)
	if turn == nil {
		return true
	}
	s.setQueued(true)
	defer s.setQueued(false)
	select {
	case <-turn:
		return true
	case <-s.killed:
	}
	if !w.forget(s) {
		w.leave() // it was given a worker at the same time
	}
	return false
}

// take returns nil if a worker was free, otherwise a channel to wait on.
func (w *workers) take(s *Session) chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.free > 0 {
		w.free--
		return nil
	}
	turn := make(chan struct{})
	w.waiting = append(w.waiting, waiter{s, turn})
	return turn
}

// forget reports whether s was still waiting.
func (w *workers) forget(s *Session) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := len(w.waiting)
	w.waiting = slices.DeleteFunc(w.waiting, func(other waiter) bool { return other.session == s })
	return len(w.waiting) < before
}

// leave passes a worker to the connection that has waited for longest.
func (w *workers) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) == 0 {
		w.free++
		return
	}
	close(w.waiting[0].turn)
	w.waiting = w.waiting[1:]
}

func (s *Session) setQueued(queued bool) {
	s.peer.mu.Lock()
	defer s.peer.mu.Unlock()
	s.queued = queued
}

// DropsSilent closes a connection without a record for d; otherwise it plays the script then.
func DropsSilent(d time.Duration, then Script) Script {
	return func(s *Session) {
		s.silent = true
		_ = s.SetReadDeadline(time.Now().Add(d))
		then(s)
	}
}

// heard removes the deadline of DropsSilent.
func (s *Session) heard() {
	if s.silent {
		s.silent = false
		_ = s.SetReadDeadline(time.Time{})
	}
}
