package supervise

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// suspectDeaths is at how many deaths running a route must have been in flight to be
// suspected of them.
const suspectExits = 3

// suspects are the routes that may be what kills children. One of which others were
// answered meanwhile may only have been there, and is not refused.
type suspects struct {
	quarantine time.Duration // 0: none is refused

	// What those who send requests look at: nil if there is nothing to look for.
	watched atomic.Pointer[map[string]*suspect]
	refused atomic.Pointer[map[string]time.Time] // until when, by route

	mu     sync.Mutex // held while the maps are replaced, and by snapshots
	routes map[string]*suspect
}

// accused is a route that was in flight at the last death.
type suspect struct {
	deaths   int           // running
	answered atomic.Uint64 // requests for it, since the first of them
	until    time.Time     // when it is refused no more; zero: it is not
	logged   bool
}

// configure says how long a route is refused from now on.
func (s *suspects) configure(quarantine time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quarantine = quarantine
}

// answered notes that a request for a route was answered.
func (s *suspects) answered(route string) {
	if m := s.watched.Load(); m != nil {
		if a := (*m)[route]; a != nil {
			a.answered.Add(1)
		}
	}
}

// isRefused reports whether a route is, and for how long.
func (s *suspects) isRefused(route string, now time.Time) (time.Duration, bool) {
	m := s.refused.Load()
	if m == nil {
		return 0, false
	}
	left := (*m)[route].Sub(now)
	return left, left > 0
}

// note takes the requests that a death has hit, and returns the routes that are suspects
// from now on. A child that died before it had anything to do says nothing.
func (s *suspects) record(e Exit) (fresh []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(e.InFlight) == 0 && !e.Served {
		return nil
	}
	now := make(map[string]*suspect)
	for _, r := range e.InFlight {
		if r.Route == "" || now[r.Route] != nil {
			continue
		}
		a := s.routes[r.Route]
		if a == nil {
			a = new(suspect)
		}
		if e.isClean() && a.answered.Load() > 0 {
			continue // the request had come on a connection that the child was about to close
		}
		a.deaths++
		now[r.Route] = a
		if a.deaths < suspectExits || a.logged && e.Time.Before(a.until) {
			continue
		}
		if !a.logged || s.quarantine > 0 && a.answered.Load() == 0 {
			fresh = append(fresh, r.Route)
		}
		a.logged = true
		if s.quarantine > 0 && a.answered.Load() == 0 {
			a.until = e.Time.Add(s.quarantine)
		}
	}
	for route, a := range s.routes {
		if now[route] == nil && e.Time.Before(a.until) {
			now[route] = a // it is not in flight because it is refused
		}
	}
	s.routes = now
	s.publish()
	slices.Sort(fresh)
	return fresh
}

func (s *suspects) publish() {
	s.watched.Store(nil)
	if len(s.routes) > 0 {
		watched := maps.Clone(s.routes)
		s.watched.Store(&watched)
	}
	refused := make(map[string]time.Time)
	for route, a := range s.routes {
		if !a.until.IsZero() {
			refused[route] = a.until
		}
	}
	s.refused.Store(nil)
	if len(refused) > 0 {
		s.refused.Store(&refused)
	}
}

// suspect looks for what a death may be due to.
func (sup *supervisor) noteSuspects(e Exit, now time.Time) {
	for _, route := range sup.suspects.record(e) {
		d, refused := sup.suspects.isRefused(route, now)
		if refused {
			sup.log.Error("a route was in flight whenever the command ended; it is refused for a while", "route", route, "for", d.Round(time.Second))
			continue
		}
		sup.log.Error("a route was in flight whenever the command ended", "route", route, "deaths", suspectExits)
	}
}

// SuspectSnapshot is a route that was in flight at the last deaths.
type SuspectSnapshot struct {
	Route        string    `json:"route"`
	Deaths       int       `json:"deaths"`   // running, at which it was in flight
	Answered     uint64    `json:"answered"` // requests for it since the first of them
	RefusedUntil time.Time `json:"refused_until,omitzero"`
}

// snapshot lists the suspects, the worst first.
func (s *suspects) snapshot(now time.Time) []SuspectSnapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []SuspectSnapshot{}
	for route, a := range s.routes {
		if a.deaths < suspectExits {
			continue
		}
		shot := SuspectSnapshot{Route: route, Deaths: a.deaths, Answered: a.answered.Load()}
		if now.Before(a.until) {
			shot.RefusedUntil = a.until
		}
		list = append(list, shot)
	}
	slices.SortFunc(list, func(a, b SuspectSnapshot) int {
		return cmp.Or(cmp.Compare(b.Deaths, a.Deaths), cmp.Compare(a.Route, b.Route))
	})
	return list
}
