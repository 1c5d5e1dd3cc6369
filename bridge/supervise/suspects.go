package supervise

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// suspectExits is at how many unplanned exits in a row a route must have been in flight to be
// suspected of causing them.
const suspectExits = 3

// suspects are the routes that may cause the exits of children. A route of which requests were
// answered meanwhile may only have been in flight by chance: it is not refused.
type suspects struct {
	quarantine time.Duration // 0: no route is refused

	// Read for each request. nil if there are none.
	watched atomic.Pointer[map[string]*suspect]
	refused atomic.Pointer[map[string]time.Time] // until when, by route

	mu     sync.Mutex // held while the maps are replaced or read for a snapshot
	routes map[string]*suspect
}

// suspect is a route that was in flight at the last unplanned exit.
type suspect struct {
	exits    int           // exits in a row
	answered atomic.Uint64 // requests for the route since the first of these exits
	until    time.Time     // the route is refused until then; zero: it is not refused
	logged   bool
}

// configure sets how long a route is refused. With 0, none is refused any more.
func (s *suspects) configure(quarantine time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.quarantine = quarantine; quarantine > 0 {
		return
	}
	for _, a := range s.routes {
		a.until = time.Time{}
	}
	s.publish()
}

// answered notes that a request for a route was answered.
func (s *suspects) answered(route string) {
	if m := s.watched.Load(); m != nil {
		if a := (*m)[route]; a != nil {
			a.answered.Add(1)
		}
	}
}

// isRefused reports whether a route is refused, and for how long.
func (s *suspects) isRefused(route string, now time.Time) (time.Duration, bool) {
	m := s.refused.Load()
	if m == nil {
		return 0, false
	}
	left := (*m)[route].Sub(now)
	return left, left > 0
}

// record takes an exit with the requests that it has hit, and returns the routes that have
// become suspects. The exit of a child that had no request yet does not count.
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
			continue // the request has met a child that was about to close its connections
		}
		a.exits++
		now[r.Route] = a
		if a.exits < suspectExits || a.logged && e.Time.Before(a.until) {
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
			now[route] = a // the route is not in flight because it is refused
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

// noteSuspects looks for routes that may have caused an exit.
func (sup *supervisor) noteSuspects(e Exit, now time.Time) {
	for _, route := range sup.suspects.record(e) {
		d, refused := sup.suspects.isRefused(route, now)
		if refused {
			sup.log.Error("a route was in flight whenever the command ended; it is refused for a while", "route", route, "for", d.Round(time.Second), "advice", "mend that page; it is admitted again by itself")
			continue
		}
		sup.log.Error("a route was in flight whenever the command ended", "route", route, "exits", suspectExits, "advice", "mend that page, or have spawn.quarantine (--command-quarantine) refuse it")
	}
}

// SuspectSnapshot is a route that was in flight at the last unplanned exits.
type SuspectSnapshot struct {
	Route        string    `json:"route"`
	Exits        int       `json:"deaths"`   // exits in a row at which the route was in flight
	Answered     uint64    `json:"answered"` // requests for the route since the first of these exits
	RefusedUntil time.Time `json:"refused_until,omitzero"`
}

// snapshot lists the suspects, those with the most exits first.
func (s *suspects) snapshot(now time.Time) []SuspectSnapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []SuspectSnapshot{}
	for route, a := range s.routes {
		if a.exits < suspectExits {
			continue
		}
		shot := SuspectSnapshot{Route: route, Exits: a.exits, Answered: a.answered.Load()}
		if now.Before(a.until) {
			shot.RefusedUntil = a.until
		}
		list = append(list, shot)
	}
	slices.SortFunc(list, func(a, b SuspectSnapshot) int {
		return cmp.Or(cmp.Compare(b.Exits, a.Exits), cmp.Compare(a.Route, b.Route))
	})
	return list
}
