package fcgitest

import (
	"sync"
	"time"
)

// ThreadPool is a limited number of threads. Each serves one connection from its first byte to its last. A
// connection without a free thread is closed at once, unread.
type ThreadPool struct {
	size    int
	cleanup time.Duration
	serve   func(*Session, *Request)

	mu         sync.Mutex
	busy       int // at most size
	most       int
	turnedAway int
}

// NewThreadPool returns n threads that answer requests with f, as flup does. A
// thread is free again cleanup after its connection has been closed.
func NewThreadPool(n int, cleanup time.Duration, f func(*Session, *Request)) *ThreadPool {
	return &ThreadPool{size: n, cleanup: cleanup, serve: f}
}

// Threads is the script of a new [ThreadPool].
func Threads(n int, cleanup time.Duration, f func(*Session, *Request)) Script {
	return NewThreadPool(n, cleanup, f).Script()
}

// Script serves connections with the pool's threads, which all peers with this script share.
func (p *ThreadPool) Script() Script {
	return func(s *Session) {
		if !p.take() {
			return
		}
		defer p.free()
		defer s.HoldFor(p.cleanup)
		defer s.peer.hangUp(s)
		Each(p.serve)(s)
	}
}

func (p *ThreadPool) take() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy == p.size {
		p.turnedAway++
		return false
	}
	p.busy++
	p.most = max(p.most, p.busy)
	return true
}

func (p *ThreadPool) free() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy--
}

// TurnedAway returns how many connections were closed without a thread.
func (p *ThreadPool) TurnedAway() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.turnedAway
}

// Busy returns how many threads are busy now.
func (p *ThreadPool) Busy() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.busy
}

// Most returns the greatest number of threads that were busy at once.
func (p *ThreadPool) Most() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.most
}
