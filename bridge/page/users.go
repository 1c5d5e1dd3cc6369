package page

import (
	"cmp"
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
	byRoute, byClient := make(map[string]held), make(map[string]held)
	for i := range inFlight {
		r := &inFlight[i]
		h := byRoute[r.Route]
		h.add(r)
		byRoute[r.Route] = h
		if r.ClientKey != 0 {
			h := byClient[admission.ClientKeyName(r.ClientKey)]
			h.add(r)
			byClient[admission.ClientKeyName(r.ClientKey)] = h
		}
	}
	allRoutes, allClients := []Route{}, []Client{}
	for _, r := range routes {
		h := byRoute[r.Route]
		delete(byRoute, r.Route)
		allRoutes = append(allRoutes, Route{r.Route, r.Lane.String(), h.running, r.Short, r.Long, r.Work + h.work})
	}
	for name, h := range byRoute { // nothing of them has ended lately
		allRoutes = append(allRoutes, Route{Route: name, Lane: h.lane.String(), Running: h.running, Work: h.work})
	}
	for _, c := range clients {
		if h := byClient[c.ClientKey]; c.ClientKey != admission.ClientKeyName(0) {
			delete(byClient, c.ClientKey)
			allClients = append(allClients, Client{c.ClientKey, c.Shared, h.running, c.Waiting, c.Spent, c.Work + h.work})
		}
	}
	for name, h := range byClient {
		allClients = append(allClients, Client{Client: name, Running: h.running, Work: h.work})
	}
	slices.SortFunc(allRoutes, func(a, b Route) int { return cmp.Or(cmp.Compare(b.Work, a.Work), cmp.Compare(a.Route, b.Route)) })
	slices.SortFunc(allClients, func(a, b Client) int { return cmp.Or(cmp.Compare(b.Work, a.Work), cmp.Compare(a.Client, b.Client)) })
	return allRoutes[:min(len(allRoutes), mostUsers)], allClients[:min(len(allClients), mostUsers)]
}
