package page

import (
	"cmp"
	"maps"
	"slices"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

// held is what requests in flight hold.
type held struct {
	running int
	work    float64 // worker-seconds within the last minute
	lane    admission.Lane
}

func (h *held) add(r *admission.InFlight) {
	h.running++
	h.work += min(r.Age.Seconds(), 60)
	h.lane = r.Lane
}

// usersOf returns the routes and clients by work. The gate counts the work of requests when they end;
// that of the requests in flight is added.
func usersOf(routes []admission.RouteSnapshot, clients []admission.ClientSnapshot, inFlight []admission.InFlight) ([]Route, []Client) {
	byRoute, byClient := make(map[string]*held), make(map[uint64]*held)
	for i := range inFlight {
		r := &inFlight[i]
		add(byRoute, r.Route, r)
		if r.ClientKey != 0 {
			add(byClient, r.ClientKey, r)
		}
	}
	return routesOf(routes, byRoute), clientsOf(clients, byClient)
}

func add[K comparable](by map[K]*held, key K, r *admission.InFlight) {
	h := by[key]
	if h == nil {
		h = new(held)
		by[key] = h
	}
	h.add(r)
}

func routesOf(routes []admission.RouteSnapshot, byRoute map[string]*held) []Route {
	all := []Route{}
	for _, r := range routes {
		route := Route{r.Route, r.Lane.String(), 0, r.Short, r.Long, r.Work}
		if h := byRoute[r.Route]; h != nil {
			route.Running, route.Work = h.running, r.Work+h.work
			delete(byRoute, r.Route)
		}
		all = append(all, route)
	}
	for name, h := range byRoute { // nothing of them has ended lately
		all = append(all, Route{Route: name, Lane: h.lane.String(), Running: h.running, Work: h.work})
	}
	slices.SortFunc(all, func(a, b Route) int { return cmp.Or(cmp.Compare(b.Work, a.Work), cmp.Compare(a.Route, b.Route)) })
	return all[:min(len(all), mostUsers)]
}

// clientsOf gives names only to the clients that may be listed: there may be as many as requests.
func clientsOf(clients []admission.ClientSnapshot, byClient map[uint64]*held) []Client {
	keys := slices.SortedFunc(maps.Keys(byClient), func(a, b uint64) int { return cmp.Compare(byClient[b].work, byClient[a].work) })
	named := make(map[string]*held)
	for _, key := range keys[:min(len(keys), 2*mostUsers)] {
		named[admission.ClientKeyName(key)] = byClient[key]
	}
	all := []Client{}
	for _, c := range clients {
		if c.ClientKey == admission.ClientKeyName(0) {
			continue // nobody in particular
		}
		client := Client{c.ClientKey, c.Shared, c.InFlight, c.Waiting, c.Spent, c.Work}
		if h := named[c.ClientKey]; h != nil {
			client.Work += h.work
			delete(named, c.ClientKey)
		}
		all = append(all, client)
	}
	for name, h := range named {
		all = append(all, Client{Client: name, Running: h.running, Work: h.work})
	}
	slices.SortFunc(all, func(a, b Client) int { return cmp.Or(cmp.Compare(b.Work, a.Work), cmp.Compare(a.Client, b.Client)) })
	return all[:min(len(all), mostUsers)]
}
