package registry

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
)

// User is a part of a configuration that uses applications, such as a handler. Several Sites
// may have the same one.
type User struct {
	Name   string       // as errors have it
	Log    slog.Handler // where the applications log; nil: Options.Log
	Events Events       // nil: events are not reported
}

// users are those of an application. A configuration's log may be closed with it, so what an
// application says goes to the latest that is still there.
type users struct {
	latest atomic.Pointer[User] // nil: there is none

	mu   sync.Mutex
	list []*User // the latest is last; one for each site
}

func (l *users) add(u *User) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, u)
	l.latest.Store(u)
}

func (l *users) remove(u *User) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.list, u); i >= 0 {
		l.list = slices.Delete(l.list, i, i+1)
	}
	var latest *User
	if n := len(l.list); n > 0 {
		latest = l.list[n-1]
	}
	l.latest.Store(latest)
}
