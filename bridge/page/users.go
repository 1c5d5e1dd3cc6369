package page

import (
	"cmp"
	"slices"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

// held is what the requests in flight of one route or client hold.
type held[K comparable] struct {
	of      K
	running int
	work    float64 // worker-seconds within the last minute
	lane    admission.Lane
}

// tally adds up what requests hold. There may be as many clients as requests, so it is one list.
type tally[K comparable] struct {
	at   map[K]int // index in list
	list []held[K]
}

func (t *tally[K]) add(of K, r *admission.InFlight) {
	i, known := t.at[of]
	if !known {
		i = len(t.list)
		t.at[of] = i
		t.list = append(t.list, held[K]{of: of})
	}
	h := &t.list[i]
	h.running++
	h.work += min(r.Age.Seconds(), 60)
	h.lane = r.Lane
}

// most returns those that hold most.
func (t *tally[K]) most(n int) []held[K] {
	slices.SortFunc(t.list, func(a, b held[K]) int { return cmp.Compare(b.work, a.work) })
	return t.list[:min(len(t.list), n)]
}

// usersOf returns the routes and clients by work. The gate counts the work of requests when they end;
// that of the requests in flight is added.
func usersOf(routes []admission.RouteSnapshot, clients []admission.ClientSnapshot, inFlight []admission.InFlight) ([]Route, []Client) {
	byRoute := tally[string]{at: make(map[string]int)}
	byClient := tally[uint64]{at: make(map[uint64]int, len(inFlight))}
	for i := range inFlight {
		r := &inFlight[i]
		byRoute.add(r.Route, r)
		if r.ClientKey != 0 {
			byClient.add(r.ClientKey, r)
		}
	}
	return routesOf(routes, byRoute.most(2*mostUsers)), clientsOf(clients, byClient.most(2*mostUsers))
}

func routesOf(routes []admission.RouteSnapshot, inFlight []held[string]) []Route {
	all, at := make([]Route, 0, len(routes)), make(map[string]int)
	for _, r := range routes {
		at[r.Route] = len(all)
		all = append(all, Route{r.Route, r.Lane.String(), 0, r.Short, r.Long, r.Work})
	}
	for _, h := range inFlight {
		i, known := at[h.of]
		if !known { // none of its requests has ended lately
			i = len(all)
			all = append(all, Route{Route: h.of, Lane: h.lane.String()})
		}
		all[i].Running, all[i].Work = h.running, all[i].Work+h.work
	}
	slices.SortFunc(all, func(a, b Route) int { return cmp.Or(cmp.Compare(b.Work, a.Work), cmp.Compare(a.Route, b.Route)) })
	return all[:min(len(all), mostUsers)]
}

func clientsOf(clients []admission.ClientSnapshot, inFlight []held[uint64]) []Client {
	all, at := make([]Client, 0, len(clients)), make(map[string]int)
	for _, c := range clients {
		if c.ClientKey == admission.ClientKeyName(0) {
			continue // nobody in particular
		}
		at[c.ClientKey] = len(all)
		all = append(all, Client{c.ClientKey, c.Shared, c.InFlight, c.Waiting, c.Spent, c.Work})
	}
	for _, h := range inFlight {
		name := admission.ClientKeyName(h.of)
		i, known := at[name]
		if !known {
			i = len(all)
			all = append(all, Client{Client: name, Running: h.running})
		}
		all[i].Work += h.work
	}
	slices.SortFunc(all, func(a, b Client) int { return cmp.Or(cmp.Compare(b.Work, a.Work), cmp.Compare(a.Client, b.Client)) })
	return all[:min(len(all), mostUsers)]
}
