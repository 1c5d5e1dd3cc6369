package supervise

import (
	"slices"
	"sync"
	"time"
)

// lossWindow is how far from a child's exit, before or after, connections end because of it.
const lossWindow = time.Second

// lostRequests are requests whose connections have ended before their answers.
type lostRequests struct {
	mu   sync.Mutex
	list []lostRequest // the oldest first
}

type lostRequest struct {
	Request
	at time.Time
}

// maxLost is how many requests are kept.
const maxLost = 256

func (l *lostRequests) note(r Request, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) == maxLost {
		l.list = slices.Delete(l.list, 0, 1)
	}
	l.list = append(l.list, lostRequest{r, at})
}

// take returns the requests that a child's exit at a time has hit, the oldest first, and
// forgets all.
func (l *lostRequests) take(at time.Time) []Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []Request
	for _, r := range l.list {
		if r.at.Sub(at).Abs() <= lossWindow {
			all = append(all, r.Request)
		}
	}
	l.list = nil
	slices.SortStableFunc(all, func(a, b Request) int { return int(b.Age - a.Age) })
	return all
}
