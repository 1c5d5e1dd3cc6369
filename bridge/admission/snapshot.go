package admission

import (
	"cmp"
	"fmt"
	"runtime"
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
	Elsewhere int     `json:"in_flight_elsewhere"` // at other gates of a fleet, as far as it is known
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

// laneCounts is what a lane has now, and has had.
type laneCounts struct {
	inFlight, aged, waiting int

	start   uint64
	waited  time.Duration
	refused [reasons]uint64
	left    uint64
	waits   [len(waitBounds) + 1]uint64
	times   Times
}

// ended counts a request that the application has finished, and that took so long with its wait.
func (l *laneCounts) ended(took time.Duration) { l.times[timeBucket(took)]++ }

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
	s := LaneSnapshot{InFlight: l.inFlight, Aged: l.aged, Waiting: l.waiting, Started: l.start, Left: l.left, Waited: l.waited.Seconds(), Refused: make(map[string]uint64, reasons)}
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

// Snapshot returns the gate's state. It holds the mutex for some microseconds at a time, however many
// requests, routes and clients there are. The lists are therefore some microseconds younger than
// the counts.
func (g *Gate) Snapshot() Snapshot {
	g.mu.Lock()
	s := Snapshot{
		Workers: g.cfg.Workers, Capacity: g.slots, InUse: g.inUse, Waiting: len(g.deadlines),
		Nested: g.nesting.found,
		Long:   g.longInUse, LongCap: g.longCap, Reserve: g.reserve,
		Upgraded: g.upgrades, MaxUpgraded: g.maxUpgraded,
		ShortRate: g.load.rate, ShortMean: g.load.mean() * 1000,
		Stall: g.stall.snapshot(g.epoch), Lanes: make(map[string]LaneSnapshot, lanes),
	}
	for l := range g.counts {
		s.Lanes[Lane(l).String()] = g.counts[l].snapshot()
	}
	if !g.cfg.Lanes { // nothing is kept from any request
		s.Reserve, s.LongCap, s.MaxUpgraded = 0, s.Capacity, s.Capacity
	}
	confirmed := g.stall.phase == stalled
	g.mu.Unlock()

	if confirmed {
		s.Stall.Held = g.InFlight()
	}
	s.Routes, s.ClientKeys = g.Users(topmost)
	return s
}

// Users returns the routes and the clients that have used most lately, n of each at most.
func (g *Gate) Users(n int) (routes []RouteSnapshot, clients []ClientSnapshot) {
	usedRoutes, usedClients := g.users(n)

	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	for _, u := range usedRoutes {
		r := u.of
		lane := g.laneOf(&entry{route: r}, now)
		routes = append(routes, RouteSnapshot{r.name, lane, r.inFlight, r.aged, r.short, r.long, u.work})
	}
	for _, u := range usedClients {
		c := u.of
		out := ClientSnapshot{ClientKeyName(c.shownKey()), c.shared, int(c.fast + c.slow), 0, c.waiting.n, c.spent, u.work}
		if now < c.elsewhere.until {
			out.Elsewhere = int(c.elsewhere.fast + c.elsewhere.slow)
		}
		clients = append(clients, out)
	}
	return routes, clients
}

// usage is a route or a client with its work, in worker-seconds.
type usage[T any] struct {
	of   *T
	work float64
}

// users returns the routes and the clients that have done most work lately. There may be thousands,
// so others have the mutex between pieces: a map may be changed while it is ranged over, as long as
// that is not at the same instant.
func (g *Gate) users(n int) (routes []usage[route], clients []usage[client]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, visited := g.now(), 0
	ofRoutes, ofClients := most[route]{n: n}, most[client]{n: n}
	for _, r := range g.routes.table {
		if r.workerSeconds.sum > 0 || r.inFlight > 0 {
			ofRoutes.add(r, r.workerSeconds.value(now))
		}
		visited++
		g.yield(visited)
	}
	for _, c := range g.clients.table {
		if c.workerSeconds.sum > 0 || c.fast+c.slow > 0 || c.waiting.n > 0 {
			ofClients.add(c, c.workerSeconds.value(now))
		}
		visited++
		g.yield(visited)
	}
	return ofRoutes.list, ofClients.list
}

// piece is how many requests, routes or clients are copied in one go: it takes about 10 us.
const piece = 128

// yield lets others have the mutex, which the caller holds, after each piece. A goroutine that waits
// for the mutex needs its turn of the processor, too, or the caller would have the mutex again before.
func (g *Gate) yield(visited int) {
	if visited%piece == 0 {
		g.mu.Unlock()
		runtime.Gosched()
		g.mu.Lock()
	}
}

const topmost = 10

// most keeps those that have done the most work, in that order.
type most[T any] struct {
	list []usage[T]
	n    int // how many are kept
}

func (m *most[T]) add(of *T, work float64) {
	if len(m.list) == m.n && (m.n == 0 || work <= m.list[m.n-1].work) {
		return
	}
	at, _ := slices.BinarySearchFunc(m.list, work, func(u usage[T], work float64) int { return cmp.Compare(work, u.work) })
	m.list = slices.Insert(m.list, at, usage[T]{of, work})
	m.list = m.list[:min(len(m.list), m.n)]
}

func (s *stallState) snapshot(epoch time.Time) StallSnapshot {
	out := StallSnapshot{State: s.phase.String(), Count: s.count}
	if s.phase.stopped() {
		out.Since = epoch.Add(s.began)
	}
	return out
}
