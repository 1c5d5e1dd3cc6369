package supervise

import (
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/session"
)

// usages looks at what processes use. The kernel may not tell while a process waits in it:
// that holds nobody up for long, and is not asked again until it does.
type usageReader struct {
	mu   sync.Mutex
	last *usageRead // nil: there was none
}

// usageLook is a look at several processes.
type usageRead struct {
	done  chan struct{} // closed when it is over
	found map[int]*Usage
}

// usageTime is how long a look may take.
const usageTimeout = time.Second

// of is what the sessions that these processes lead use. Those that have ended are left
// out, and all of them while the kernel does not tell. Who asks while somebody looks gets
// what is found then.
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
