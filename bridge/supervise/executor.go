package supervise

import (
	"sync"
	"time"
)

// executor runs functions that may block - making sockets, starting children, writing the log -
// one after the other. Callers do not wait.
type executor struct {
	mu     sync.Mutex
	queue  []func()
	closed bool

	wake chan struct{} // holds a value when the queue may not be empty
	done chan struct{} // closed when run has returned
}

func newExecutor() *executor {
	return &executor{wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// do has f run after the functions before it, unless the executor is closed.
func (e *executor) do(f func()) {
	e.mu.Lock()
	if !e.closed {
		e.queue = append(e.queue, f)
	}
	e.mu.Unlock()
	e.wakeUp()
}

func (e *executor) wakeUp() {
	select {
	case e.wake <- struct{}{}:
	default: // run looks anyway
	}
}

// run runs the functions until close.
func (e *executor) run() {
	defer close(e.done)
	for {
		f, closed := e.next()
		switch {
		case f != nil:
			f()
		case closed:
			return
		default:
			<-e.wake
		}
	}
}

func (e *executor) next() (f func(), closed bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.queue) == 0 {
		return nil, e.closed
	}
	f, e.queue[0] = e.queue[0], nil
	e.queue = e.queue[1:]
	return f, false
}

// close has run return when the queue is empty, and waits for that for d at most. It reports
// whether run has returned: a function that blocks goes on if not.
func (e *executor) close(d time.Duration) bool {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.wakeUp()
	return closedWithin(e.done, d)
}

// closedWithin waits until c is closed, for d at most, and reports whether it is.
func closedWithin(c <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c:
		return true
	case <-t.C:
		return isClosed(c)
	}
}
