//go:build linux

package loop

import (
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/blocking"
	"github.com/sluice-proxy/sluice/bridge/internal/exchange"
	"github.com/sluice-proxy/sluice/bridge/pool"
)

// lateFor is how long a loop itself waits for the end of a request that nobody waits for any more. Mostly
// the answer is complete, and the end comes at once. What takes longer is for a goroutine.
const lateFor = 200 * time.Millisecond

// late is such a request. It is used again for others when it has left loop.lates.
type late struct {
	loop   *loop
	site   *blocking.Site
	hold   *exchange.Abandoned // nil: the wait is over
	lease  *pool.Lease
	serial uint64 // of the connection; 0: it is shared
	due    time.Time
	news   notice
	watch  func(fd int, serial uint64, came *atomic.Bool) error // made once
}

// abandon waits for the end of a request that has come to this loop.
func (l *loop) abandon(site *blocking.Site, h *exchange.Hold, lease *pool.Lease) {
	if l.stopping {
		lease.Notify(nil)
		site.WaitAbandoned(h, lease)
		return
	}
	t := l.newLate()
	site.Application.Awaits(1)
	t.site, t.hold, t.lease = site, site.Abandon(h), lease
	t.due = earliest(l.now.Add(lateFor), t.hold.Until())
	l.lates = append(l.lates, t)
	lease.Notify(&t.news.tell)
	_ = lease.Watch(t.watch) // an error is the next event
	t.on()
}

func (l *loop) newLate() *late {
	if n := len(l.spareLates); n > 0 {
		t := l.spareLates[n-1]
		l.spareLates = l.spareLates[:n-1]
		return t
	}
	t := &late{loop: l}
	t.watch = t.watches
	t.news.begin(l, t.happened)
	return t
}

// on takes what has come.
func (t *late) on() {
	for n := 0; ; n++ {
		if n == turnMax { // others have their turn, too
			t.news.told()
			return
		}
		ev, err := t.lease.TryNext()
		if ev.Kind == 0 && err == nil {
			return
		}
		if t.hold.Happened(ev, err) {
			t.hold.Release()
			t.end()
			return
		}
	}
}

// end ends the loop's part.
func (t *late) end() {
	t.site.Application.Awaits(-1)
	t.site, t.hold, t.lease, t.serial = nil, nil, nil, 0
}

// toGoroutine has a goroutine wait.
func (t *late) toGoroutine() {
	t.lease.Notify(nil)
	t.site.AwaitAbandoned(t.hold, t.lease)
	t.end()
}

// watches has the loop tell what happens to the connection of the lease.
func (t *late) watches(fd int, serial uint64, came *atomic.Bool) error {
	t.serial = serial
	return t.loop.watch(t, fd, serial, came)
}

// happened goes on with what has come, if the wait is not over.
func (t *late) happened() {
	if t.hold != nil {
		t.on()
	}
}

// readable implements reader.
func (t *late) readable(serial uint64, ending bool) {
	if t.hold != nil && t.serial == serial {
		t.lease.Readable(ending)
		t.on()
	}
}

// lateDue is when endLates has something to do; zero: never.
func (l *loop) lateDue() time.Time {
	for len(l.lates) > 0 {
		if t := l.lates[0]; t.hold != nil {
			return t.due
		}
		l.popLate()
	}
	return time.Time{}
}

// endLates leaves requests to goroutines for which the loop has waited long enough; all of them if it stops.
func (l *loop) endLates() {
	for len(l.lates) > 0 {
		t := l.lates[0]
		if t.hold != nil {
			if !l.stopping && l.now.Before(t.due) {
				return
			}
			t.toGoroutine()
		}
		l.popLate()
	}
}

func (l *loop) popLate() {
	t := l.lates[0]
	l.lates[0] = nil
	l.lates = l.lates[1:]
	if len(l.spareLates) < spareMax {
		l.spareLates = append(l.spareLates, t)
	}
}
