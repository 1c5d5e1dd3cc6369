package supervise

import (
	"runtime"
	"sync"
	"time"
)

// executor runs what may block, one thing after the other in the order in which it was
// given: making sockets, starting children. Whoever gives it something does not wait.
type executor struct {
	mu     sync.Mutex
	queue  []func()
	closed bool

	wake chan struct{} // has something when the queue may have
	done chan struct{} // closed when run has ended
}

func newExecutor() *executor {
	return &executor{wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// do has f run.
func (e *executor) do(f func()) {
	e.mu.Lock()
	e.queue = append(e.queue, f)
	e.mu.Unlock()
	e.wakeUp()
}

func (e *executor) wakeUp() {
	select {
	case e.wake <- struct{}{}:
	default: // it will look
	}
}

// run runs what is given, until close.
func (e *executor) run() {
	defer close(e.done)
	// PR_SET_PDEATHSIG fires when the thread that started the child ends, so the thread must
	// not.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
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

// close has run end when everything was run, and reports whether it has within d. What
// blocks goes on if it has not.
func (e *executor) close(d time.Duration) bool {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.wakeUp()
	return closedWithin(e.done, d)
}

// closedWithin waits until c is closed, for so long, and reports whether it is.
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
