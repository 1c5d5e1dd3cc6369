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
	Aged      bool          `json:"-"` // it has become long since it started
	Abandoned bool          `json:"-"` // nobody waits for its answer any more
	Number    uint64        `json:"-"` // of no other request of this gate
}

// InFlight returns the requests that hold slots, the oldest first. Instance is empty for a request
// that has not been sent yet. Requests that start or end meanwhile may be missing.
func (g *Gate) InFlight() []InFlight {
	held := g.copyInFlight()
	oldestFirst(held)
	return held
}

// copyInFlight copies the requests that hold slots, a few at a time, so that nobody waits for the
// mutex until all are copied. It begins with the last one: where a request ends meanwhile, the
// last one takes its place, and is then found twice, but none is passed over.
func (g *Gate) copyInFlight() []InFlight {
	g.mu.Lock()
	now := g.now()
	held := make([]InFlight, 0, len(g.running)+piece)
	for i := len(g.running) - 1; i >= 0; i = min(i, len(g.running)) - 1 {
		held = append(held, g.running[i].inFlight(now))
		g.yield(len(held))
	}
	g.mu.Unlock()
	slices.SortFunc(held, func(a, b InFlight) int { return cmp.Compare(a.Number, b.Number) })
	return slices.CompactFunc(held, func(a, b InFlight) bool { return a.Number == b.Number })
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
	for _, e := range g.running {
		held = append(held, e.inFlight(now))
	}
	return held
}

func (e *entry) inFlight(now time.Duration) InFlight {
	return InFlight{e.method, e.path, e.routeName, e.instance, e.client.shownKey(), e.lane, now - e.started, e.aged, e.abandoned, e.seq}
}

func oldestFirst(held []InFlight) {
	slices.SortStableFunc(held, func(a, b InFlight) int { return cmp.Compare(b.Age, a.Age) })
}
