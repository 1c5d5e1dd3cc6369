package admission

import "time"

const (
	knownSamples      = 5  // samples that make a route known
	maxSamples        = 64 // samples that are remembered; then all count half
	slowStart         = 2  // an unknown route may have one request in flight, and so many more for every short one that has ended
	knownGroupSamples = 20 // samples of newcomers that make a group known
	maxGroupLong      = 0.1
	retryLongAfter    = 10 * time.Minute // after which a long route of which none could start gets another chance
	retryUnsureAfter  = time.Minute      // after which a route that is known by a slow request or two alone gets another chance
	slowNowAged       = 2                // long requests in flight, or
	slowNowWorkers    = 0.5              // workers that long requests held lately, make a route mixed
)

// route is what is known of one kind of requests, or of a group of routes: then its
// samples are those of newcomers, requests for routes that were not known.
type route struct {
	name  string
	group *route // nil for a group

	short, long   int           // samples
	inFlight      int           // requests in flight that were started as short or unknown and are counted here
	aged          int           // of those in flight that count, how many are long
	lastStart     time.Duration // when one was started last
	agedLately    ewma
	workerSeconds decayingSum
	fastSeconds   decayingSum // of those that were started as short or unknown, until they were long
	// others is how many slots other routes needed, at othersAt.
	othersNeed int
	othersAt   time.Duration
	alone      bool       // there were no others
	blocked    routeQueue // requests that wait for others of this route to end

	link        link[route] // in one of the chains of routes
	blockedLink link[route] // in Gate.lines while somebody is blocked
	entries     int         // requests of it in the gate
}

func (r *route) known() bool { return r.short+r.long >= knownSamples }

// nearlyAllShort reports whether nearly all newcomers below r are known to have been short.
func (r *route) nearlyAllShort(now time.Duration) bool {
	n := r.short + r.long
	return n >= knownGroupSamples && float64(r.long) <= maxGroupLong*float64(n) && !r.slowNow(now)
}

func (r *route) learn(wasLong bool) {
	if wasLong {
		r.long++
	} else {
		r.short++
	}
	if r.short+r.long > maxSamples {
		r.short, r.long = (r.short+1)/2, (r.long+1)/2
	}
}

// discount has what made r a long one count for little, because its first request after
// a long time was short. One a minute may find out from now on.
func (r *route) discount() { r.short, r.long = 0, 2 }

func (r *route) mostlyShort() bool { return r.known() && !r.mostlyLong() }

func (r *route) mostlyLong() bool { return 2*r.long >= r.short+r.long }

func (r *route) slowNow(now time.Duration) bool {
	return r.aged >= slowNowAged || r.agedLately.value(r.aged, now) >= slowNowWorkers
}

// addAged counts one more, or fewer, long request in flight.
func (r *route) addAged(by int, now time.Duration) {
	r.agedLately.update(r.aged, now)
	r.aged += by
}

// routes is the table of what is known, in three parts, so that requests for ever
// new routes push out neither those that are known nor the groups.
type routes struct {
	table, groups map[string]*route
	known, fresh  chain[route] // least recently used first
	group         chain[route]
	none          *route // where routes are not told apart
	maxKnown      int
	maxFresh      int
	maxGroups     int
}

func newRoutes() *routes {
	return &routes{table: make(map[string]*route), groups: make(map[string]*route), none: new(route)}
}

// limit has so many be remembered, and those forgotten that are too many.
func (rs *routes) limit(n int) {
	rs.maxKnown, rs.maxFresh, rs.maxGroups = n/2, n/4, n/4
	evict(&rs.known, rs.maxKnown, rs.known.n, rs.table)
	evict(&rs.fresh, rs.maxFresh, rs.fresh.n, rs.table)
	evict(&rs.group, rs.maxGroups, rs.group.n, rs.groups)
}

func (rs *routes) get(r *Request) *route {
	rt := rs.table[r.Route]
	if rt == nil {
		rt = &route{name: r.Route, group: rs.getGroup(r.Group)}
		rt.link.of, rt.blockedLink.of = rt, rt
		rs.table[rt.name] = rt
	} else {
		rt.link.leave()
		if g := rt.group; g.link.in != nil {
			g.link.leave()
			rs.group.pushBack(&g.link)
		}
	}
	if rt.known() {
		rs.known.pushBack(&rt.link)
		evict(&rs.known, rs.maxKnown, evictLooks, rs.table)
	} else {
		rs.fresh.pushBack(&rt.link)
		evict(&rs.fresh, rs.maxFresh, evictLooks, rs.table)
	}
	return rt
}

func (rs *routes) getGroup(name string) *route {
	gr := rs.groups[name]
	if gr == nil {
		gr = &route{name: name}
		gr.link.of, gr.blockedLink.of = gr, gr
		rs.groups[name] = gr
	} else {
		gr.link.leave()
	}
	rs.group.pushBack(&gr.link)
	evict(&rs.group, rs.maxGroups, evictLooks, rs.groups)
	return gr
}

// evictLooks is how many routes a request may have looked at for being forgotten.
const evictLooks = 4

// evict forgets the least recently used routes of those that are too many, and looks at
// so many at most. One with requests in the gate gets another turn: there are at most as
// many of them as requests.
func evict(c *chain[route], limit, looks int, table map[string]*route) {
	for ; c.n > limit && looks > 0; looks-- {
		r := c.first()
		r.link.leave()
		if r.entries > 0 || r.inFlight > 0 || r.aged > 0 || r.blocked.n() > 0 {
			c.pushBack(&r.link)
			continue
		}
		delete(table, r.name)
	}
}
