package bridge

import (
	"log/slog"
	"sync"
)

// noticedFields is how many names of fields the log is told of. Clients choose them.
const noticedFields = 8

// fieldNotices tells the log of request fields that are not passed on, each name once.
type fieldNotices struct {
	mu   sync.Mutex
	told map[string]bool
}

func (n *fieldNotices) dropped(log *slog.Logger) func(name string) {
	return func(name string) {
		if n.first(name) {
			log.Info("a request field is not passed to the application: names with \"_\" can be passed off as others",
				"field", name, "remedy", "have clients write \"-\"; or, if the application needs it so, add --underscore-headers (underscore_headers)")
		}
	}
}

// first reports whether the log is to be told of a name.
func (n *fieldNotices) first(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.told[name] || len(n.told) >= noticedFields || len(name) > 100 {
		return false
	}
	if n.told == nil {
		n.told = make(map[string]bool)
	}
	n.told[name] = true
	return true
}
