package admission

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Snapshot is the state of a gate at one instant. Counters only grow.
type Snapshot struct {
	Workers  int `json:"workers"`  // as configured
	Capacity int `json:"capacity"` // the slots: what the application is believed to hold now
	InUse    int `json:"in_use"`
	Waiting  int `json:"waiting"`

	Nested uint64 `json:"nested"` // requests so far that the application was found to have sent itself

	Long    int `json:"long"`     // slots in use by requests that count as long
	LongCap int `json:"long_cap"` // long requests start while Long is less
	Reserve int `json:"reserve"`  // slots that long requests never take

	Upgraded    int `json:"upgraded"`     // upgrades, such as WebSockets, that wait or are in flight
	MaxUpgraded int `json:"max_upgraded"` // upgrades are refused while Upgraded is as much

	ShortRate float64 `json:"short_rate"`    // short requests that arrive per second
	ShortMean float64 `json:"short_mean_ms"` // their mean time

	Stall      StallSnapshot           `json:"stall"`
	Routes     []RouteSnapshot         `json:"routes"`      // those that used most lately
	ClientKeys []ClientSnapshot        `json:"client_keys"` // those that used most lately
	Lanes      map[string]LaneSnapshot `json:"lanes"`       // by name
}

// LaneSnapshot is the state of one lane.
type LaneSnapshot struct {
	InFlight int `json:"in_flight"` // requests that started in this lane
	Aged     int `json:"aged"`      // of these, how many have become long
	Waiting  int `json:"waiting"`   // requests that wait in this lane

	Started uint64            `json:"started"`
	Refused map[string]uint64 `json:"refused"`        // by reason
	Left    uint64            `json:"left"`           // requests whose clients left while they waited
	Waited  float64           `json:"waited_seconds"` // total wait of the requests that were started
	Waits   []WaitBucket      `json:"waits"`          // waits of the requests that were started; nil if none was
}

// WaitBucket counts waits of at most Seconds, and of more than the Seconds of the bucket before.
// Empty buckets are left out.
type WaitBucket struct {
	Seconds float64 `json:"le"` // upper bound; -1 in the last bucket, which has none
	Count   uint64  `json:"count"`
}

// StallSnapshot says whether the application answers.
type StallSnapshot struct {
	State string     `json:"state"` // "none", "suspected", "stalled", "recovering"
	Since time.Time  `json:"since,omitzero"`
	Count uint64     `json:"count"`
	Held  []InFlight `json:"held,omitempty"` // while it is stalled
}

// RouteSnapshot is what is known of a route.
type RouteSnapshot struct {
	Route    string  `json:"route"`
	Lane     Lane    `json:"lane"`
	InFlight int     `json:"in_flight"` // started as short or unknown
	Aged     int     `json:"aged"`
	Short    int     `json:"short"` // short ones of its last 64 requests
	Long     int     `json:"long"`
	Work     float64 `json:"work"` // worker-seconds in about the last minute
}

// ClientSnapshot is what is known of a client.
type ClientSnapshot struct {
	ClientKey string  `json:"client_key"` // see ClientKeyName
	Shared    bool    `json:"shared"`
	InFlight  int     `json:"in_flight"`
	Waiting   int     `json:"waiting"`
	Spent     bool    `json:"spent"`
	Work      float64 `json:"work"` // worker-seconds in about the last minute
}

// ClientKeyName returns the text of a client key in snapshots and logs.
func ClientKeyName(key uint64) string { return fmt.Sprintf("%08x", uint32(key^key>>32)) }

// waitBounds are the upper bounds of the buckets of waits.
var waitBounds = [...]time.Duration{
	0, time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second,
	2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 20 * time.Second,
}

type laneCounts struct {
	start   uint64
	waited  time.Duration
	refused [reasons]uint64
	left    uint64
	waits   [len(waitBounds) + 1]uint64
}

func (l *laneCounts) started(wait time.Duration) {
	l.start++
	l.waited += wait
	i := 0
	for i < len(waitBounds) && wait > waitBounds[i] {
		i++
	}
	l.waits[i]++
}

func (l *laneCounts) snapshot() LaneSnapshot {
	s := LaneSnapshot{Started: l.start, Left: l.left, Waited: l.waited.Seconds(), Refused: make(map[string]uint64, reasons)}
	for r, n := range l.refused {
		s.Refused[Reason(r).String()] = n
	}
	for i, n := range l.waits {
		if n == 0 {
			continue
		}
		bound := -1.0
		if i < len(waitBounds) {
			bound = waitBounds[i].Seconds()
		}
		s.Waits = append(s.Waits, WaitBucket{bound, n})
	}
	return s
}

// Snapshot returns the gate's state.
func (g *Gate) Snapshot() Snapshot {
	g.mu.Lock()
	now := g.now()
	s := Snapshot{
		Workers: g.cfg.Workers, Capacity: g.slots, InUse: g.inUse, Waiting: len(g.deadlines),
		Nested: g.nesting.found,
		Long:   g.longInUse, LongCap: g.longCap, Reserve: g.reserve,
		Upgraded: g.upgrades, MaxUpgraded: g.maxUpgraded,
		ShortRate: g.load.rate, ShortMean: g.load.mean() * 1000,
		Stall: g.stall.snapshot(g, now), Lanes: make(map[string]LaneSnapshot, lanes),
	}
	var by [lanes]LaneSnapshot
	for l := range by {
		by[l] = g.counts[l].snapshot()
	}
	for _, c := range [...]*chain[entry]{&g.old, &g.young} {
		for l := c.head; l != nil; l = l.next {
			by[l.of.lane].InFlight++
			if l.of.aged {
				by[l.of.lane].Aged++
			}
		}
	}
	for _, e := range g.deadlines {
		by[e.lane].Waiting++
	}
	routes, clients := g.users()
	g.mu.Unlock()
	oldestFirst(s.Stall.Held)

	for l := range by {
		s.Lanes[Lane(l).String()] = by[l]
	}
	routes, clients = top(routes, now), top(clients, now)

	g.mu.Lock()
	defer g.mu.Unlock()
	for _, u := range routes {
		r := u.of
		lane := g.laneOf(&entry{route: r}, now)
		s.Routes = append(s.Routes, RouteSnapshot{r.name, lane, r.inFlight, r.aged, r.short, r.long, r.workerSeconds.value(now)})
	}
	for _, u := range clients {
		c := u.of
		s.ClientKeys = append(s.ClientKeys, ClientSnapshot{ClientKeyName(c.key), c.shared, int(c.fast + c.slow), c.waiting.n, c.spent, c.workerSeconds.value(now)})
	}
	return s
}

// usage is a route or a client with the work it has done lately.
type usage[T any] struct {
	of *T
	decayingSum
}

// users returns all routes and clients that have done work lately. There may be thousands, so the
// caller sorts them without the mutex.
func (g *Gate) users() (routes []usage[route], clients []usage[client]) {
	for _, c := range [...]*chain[route]{&g.routes.known, &g.routes.fresh} {
		for l := c.head; l != nil; l = l.next {
			if l.of.workerSeconds.sum > 0 || l.of.inFlight > 0 {
				routes = append(routes, usage[route]{l.of, l.of.workerSeconds})
			}
		}
	}
	for _, c := range g.clients.table {
		if c.workerSeconds.sum > 0 || c.fast+c.slow > 0 {
			clients = append(clients, usage[client]{c, c.workerSeconds})
		}
	}
	return routes, clients
}

const topmost = 10

func top[T any](all []usage[T], now time.Duration) []usage[T] {
	slices.SortFunc(all, func(a, b usage[T]) int { return cmp.Compare(b.value(now), a.value(now)) })
	return all[:min(len(all), topmost)]
}

func (s *stallState) snapshot(g *Gate, now time.Duration) StallSnapshot {
	out := StallSnapshot{State: s.phase.String(), Count: s.count}
	if s.phase.stopped() {
		out.Since = g.epoch.Add(s.began)
	}
	if s.phase == stalled {
		out.Held = g.inFlight(now)
	}
	return out
}
