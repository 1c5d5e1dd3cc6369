package exchange

import (
	"maps"
	"sync"
	"time"
)

// logHeader tells the log what was left out of a header or corrected in it.
func (s *Site) logHeader(path, instance, what string) {
	if s.headers.due(what, time.Now()) {
		s.Log.Warn("the application's response header is not as it should be; the same is logged once a minute at most",
			"header", what, "path", path, "instance", instance, "advice", "mend the page, or the library that writes its header")
	}
}

// headerNotices are what the log was told of headers. An application that writes a wrong one
// does so in every answer.
type headerNotices struct {
	mu   sync.Mutex
	told map[string]time.Time
}

const (
	noticeEvery = time.Minute
	NoticesMax  = 64 // different ones that are told within that time
)

// due reports whether the log is to be told now.
func (n *headerNotices) due(what string, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if at, told := n.told[what]; told && now.Sub(at) < noticeEvery {
		return false
	}
	if len(n.told) >= NoticesMax {
		maps.DeleteFunc(n.told, func(_ string, at time.Time) bool { return now.Sub(at) >= noticeEvery })
	}
	if len(n.told) >= NoticesMax {
		return false
	}
	if n.told == nil {
		n.told = make(map[string]time.Time)
	}
	n.told[what] = now
	return true
}
