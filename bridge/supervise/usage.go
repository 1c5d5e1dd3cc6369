package supervise

import (
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/session"
)

// usageReader reads what processes use. The kernel may not answer while one of them waits in
// it: readers wait for usageTimeout then, and there is only one attempt at a time.
type usageReader struct {
	mu   sync.Mutex
	last *usageRead // nil: none
}

// usageRead is one attempt for several processes.
type usageRead struct {
	done  chan struct{} // closed when found is complete
	found map[int]*Usage
}

// usageTimeout is how long read waits.
const usageTimeout = time.Second

// read returns what the sessions of some leaders use, without those that have ended, and nothing
// if the kernel does not answer. Calls at the same time share an attempt.
func (u *usageReader) read(leaders []int) map[int]*Usage {
	if len(leaders) == 0 {
		return nil
	}
	l := u.start(leaders)
	if !closedWithin(l.done, usageTimeout) {
		return nil
	}
	return l.found
}

func (u *usageReader) start(leaders []int) *usageRead {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.last != nil && !isClosed(u.last.done) {
		return u.last
	}
	l := &usageRead{done: make(chan struct{}), found: make(map[int]*Usage)}
	u.last = l
	go func() {
		defer close(l.done)
		for _, pid := range leaders {
			if used := session.UsageOf(pid); used != nil {
				l.found[pid] = (*Usage)(used)
			}
		}
	}()
	return l
}
