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
	Name   string       // for errors
	Called string       // the name of its application in configurations that have names for them; "": none
	Log    slog.Handler // where the applications log; nil: Options.Log
	Events Events       // nil: events are not reported
}

// users is the users of an application. A configuration's log may be closed with the configuration,
// so the application logs to the latest user that remains.
type users struct {
	latest atomic.Pointer[User] // nil: there is none

	mu   sync.Mutex
	list []*User // one for each site, the latest last
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
