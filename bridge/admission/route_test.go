package admission

import (
	"fmt"
	"testing"
)

// TestNewRoutesDoNotPushOutWhatIsUsed: requests for ever new routes of ever new groups come besides
// requests for a known route.
func TestNewRoutesDoNotPushOutWhatIsUsed(t *testing.T) {
	r := newRig(t, 8, func(c *Config) { c.Routes = 16 })
	used := Request{Route: "GET html /wiki/Start", Group: "GET html /wiki"}
	r.teach(used, knownSamples, tick)
	known, group := r.g.routes.table[used.Route], r.g.routes.groups[used.Group]
	for i := range 100 {
		r.teach(Request{Route: fmt.Sprint("GET html /", i), Group: fmt.Sprint("GET html /", i)}, 1, tick)
		r.teach(used, 1, tick)
	}
	if r.g.routes.table[used.Route] != known || r.g.routes.groups[used.Group] != group {
		t.Error("what is in use was forgotten")
	}
	if n := len(r.g.routes.table); n > 16 {
		t.Errorf("%d routes remembered", n)
	}
	if n := len(r.g.routes.groups); n > 4 {
		t.Errorf("%d groups remembered", n)
	}
}

// TestRoutesWithRequestsAreKept: a parked request outlives a flood of other routes. What becomes of
// it must count for the route that later requests use.
func TestRoutesWithRequestsAreKept(t *testing.T) {
	r := newRig(t, 8, func(c *Config) { c.Routes = 16 })
	r.warmUp()
	running := r.enter(Request{Route: "poll", Long: true}).mustRun()
	for i := range 100 {
		r.teach(Request{Route: fmt.Sprint("GET html /", i)}, 1, tick)
	}
	if r.g.routes.table["poll"] != running.ticket.e.route {
		t.Error("a route was forgotten while a request of it was in flight")
	}
	running.done()
}

// TestIdleClientsAreForgotten: more clients come than the gate remembers.
func TestIdleClientsAreForgotten(t *testing.T) {
	r := newRig(t, 8, func(c *Config) { c.Clients = 16 })
	r.teach(page(0), knownSamples, tick)
	busy := r.enter(page(1)).mustRun()
	for i := range 100 {
		r.enter(page(uint64(100 + i))).mustRun().done()
		r.enter(page(2)).mustRun().done()
	}
	if n := len(r.g.clients.table); n != 17 {
		t.Errorf("%d clients remembered, want 16 and the one that is busy", n)
	}
	for _, key := range []uint64{1, 2, 199} {
		if r.g.clients.table[key] == nil {
			t.Errorf("client %d was forgotten", key)
		}
	}
	busy.done()
}
