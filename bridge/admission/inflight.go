package admission

import (
	"cmp"
	"slices"
	"time"
)

// InFlight is a request that holds a slot.
type InFlight struct {
	Method    string        `json:"method"`
	Path      string        `json:"path"`
	Route     string        `json:"-"`
	Instance  string        `json:"instance,omitempty"`
	ClientKey uint64        `json:"-"`
	Lane      Lane          `json:"lane"`
	Age       time.Duration `json:"age_ns"`
}

// InFlight returns the requests that hold slots, the oldest first. Instance is empty for a request
// that has not been sent yet.
func (g *Gate) InFlight() []InFlight {
	g.mu.Lock()
	held := g.inFlight(g.now())
	g.mu.Unlock()
	oldestFirst(held)
	return held
}

// Load returns how many slots are in use, and how many requests wait for one. It is cheap.
func (g *Gate) Load() (inUse, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inUse, len(g.deadlines)
}

// inFlight is InFlight without an order, for callers that hold the mutex.
func (g *Gate) inFlight(now time.Duration) []InFlight {
	held := make([]InFlight, 0, g.inUse)
	for _, c := range [...]*chain[entry]{&g.old, &g.young} {
		for l := c.head; l != nil; l = l.next {
			e := l.of
			held = append(held, InFlight{e.method, e.path, e.routeName, e.instance, e.client.key, e.lane, now - e.started})
		}
	}
	return held
}

func oldestFirst(held []InFlight) {
	slices.SortStableFunc(held, func(a, b InFlight) int { return cmp.Compare(b.Age, a.Age) })
}
