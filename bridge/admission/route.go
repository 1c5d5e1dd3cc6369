package admission

import "time"

const (
	knownSamples      = 5  // samples that make a route known
	maxSamples        = 64 // samples that a route remembers; beyond that, all of them count half
	slowStart         = 2  // an unknown route may have one request in flight, and so many more for each that proved short
	knownGroupSamples = 20 // samples that make a group known
	maxGroupLong      = 0.1
	retryLongAfter    = 10 * time.Minute // a long route of which none could start for so long gets another chance
	retryUnsureAfter  = time.Minute      // a route that is unsure, after one or two slow requests, gets another chance after so long
	slowNowAged       = 2                // a route is mixed if so many of its requests in flight are long, or
	slowNowWorkers    = 0.5              // if its long requests have held so many workers lately
)

// route is what is known of requests of one kind, or of a group of routes. The samples of a group
// are the requests of its routes that were not known when these started.
type route struct {
	name  string
	group *route // nil for a group

	short, long   int           // samples
	inFlight      int           // requests in flight that started as short or unknown by this record
	aged          int           // requests in flight that count as aged here
	lastStart     time.Duration // when a request was last started
	agedLately    ewma
	workerSeconds decayingSum
	fastSeconds   decayingSum // of requests that started as short or unknown, until they became long
	// othersNeed is how many slots other routes needed at othersAt.
	othersNeed int
	othersAt   time.Duration
	alone      bool       // there were no requests of other routes
	blocked    routeQueue // requests that wait for others of this route to end

	link        link[route] // in one of the chains of routes
	blockedLink link[route] // in Gate.blockedRoutes while blocked is not empty
	entries     int         // its requests in the gate
}

func (r *route) known() bool { return r.short+r.long >= knownSamples }

// nearlyAllShort reports whether nearly all requests of new routes in the group r were short.
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

// discount reduces a record by which r is long to two samples, because the first request after a
// long time was short. From now on one request a minute may start as an unknown one.
func (r *route) discount() { r.short, r.long = 0, 2 }

func (r *route) mostlyShort() bool { return r.known() && !r.mostlyLong() }

func (r *route) mostlyLong() bool { return 2*r.long >= r.short+r.long }

func (r *route) slowNow(now time.Duration) bool {
	return r.aged >= slowNowAged || r.agedLately.value(r.aged, now) >= slowNowWorkers
}

// addAged adds by to the aged requests in flight.
func (r *route) addAged(by int, now time.Duration) {
	r.agedLately.update(r.aged, now)
	r.aged += by
}

// routes is what is known of routes, in three chains with limits of their own, so that an endless
// number of new routes pushes out neither known routes nor groups.
type routes struct {
	table, groups map[string]*route
	known, fresh  chain[route] // least recently used first
	group         chain[route]
	none          *route // the route of all requests if Lanes is off
	maxKnown      int
	maxFresh      int
	maxGroups     int
}

func newRoutes() *routes {
	return &routes{table: make(map[string]*route), groups: make(map[string]*route), none: new(route)}
}

// limit sets how many routes are remembered, and forgets those beyond that.
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

// evictLooks bounds how many routes one request makes evict look at.
const evictLooks = 4

// evict forgets the least recently used routes beyond limit. It looks at so many at most. A route
// with requests in the gate is kept; there are at most as many of these as requests.
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
