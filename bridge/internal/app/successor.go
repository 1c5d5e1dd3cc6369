package app

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-proxy/sluice/bridge/pool"
)

// readyEvery is how often it is looked whether processes are ready.
const readyEvery = 20 * time.Millisecond

// AwaitReady waits until the processes that this one has started accept connections. One that has given
// up is an error, as is the end of ctx.
func (a *Application) AwaitReady(ctx context.Context) error {
	if a.processes == nil {
		return nil
	}
	ticks := time.NewTicker(readyEvery)
	defer ticks.Stop()
	for {
		a.processes.ExpectReady()
		starts := false
		for _, in := range a.processes.QuickSnapshot().Instances {
			switch in.State {
			case "waiting", "starting", "probing":
				starts = true
			case "broken":
				return fmt.Errorf("spawn: command %q: %s does not become ready; the log says why", a.processes.command, in.Addr)
			}
		}
		if !starts {
			return nil
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Yield leaves workers to another process that serves the same application, whose new requests go
// there. It is called again while the requests here end, and adds to held how many connections this
// process may still have: never more than it said before. accepting says that requests may come that are
// not known yet.
//
// What this process started itself it has alone, and what a fleet shares, the fleet's engine leases.
func (a *Application) Yield(held map[string]int, accepting bool) {
	if a.Authorizer != nil {
		a.Authorizer.yield(held, ofAuthorizers, accepting || a.InFlight() > 0)
	}
	if a.processes == nil && a.fleet == nil {
		a.yield(held, "", accepting || a.InFlight() > 0)
	}
}

// ofAuthorizers is in front of the names of what authorizers hold, which has nothing to do with what an
// application at the same address does.
const ofAuthorizers = "authorizer "

// yield is Yield for this gate and pool. needed says that a request may need a worker. Of several pools with
// the same address, the one with the most counts.
func (a *Application) yield(held map[string]int, of string, needed bool) {
	workers := a.settings.Load().Workers
	s, instances := a.Gate.Sample(), max(1, len(a.settings.Load().Backends))
	keep := (s.InUse + s.Waiting + s.Parked + instances - 1) / instances
	// What is at work goes on. Of the rest, which waits, half of the workers has to be enough.
	keep = min(keep, max(1, workers/2))
	if needed {
		keep = max(keep, 1)
	}
	if a.yielded == nil {
		a.yielded = new(workers)
	}
	keep = min(keep, *a.yielded)
	a.Pool.SetLimit(pool.Limit{Connections: keep})
	*a.yielded = min(*a.yielded, max(keep, a.Pool.Connections()))
	for _, addr := range a.Pool.Addrs() {
		held[of+keyOf(addr)] = max(held[of+keyOf(addr)], *a.yielded)
	}
}

// Regain takes back what Yield has left: the other process has ended.
func (a *Application) Regain() {
	if a.Authorizer != nil {
		a.Authorizer.regain()
	}
	a.regain()
}

func (a *Application) regain() {
	if a.yielded == nil {
		return
	}
	a.yielded = nil
	a.Pool.SetLimit(pool.Limit{Connections: unlimited})
}

// unlimited is more than any number of workers.
const unlimited = 1 << 30

// LeaveTo has this process and another, which has held, stay within the workers together. Nil stands for
// nothing, and all says that the other may have everything.
func (a *Application) LeaveTo(held map[string]int, all bool) {
	if a.Authorizer != nil {
		a.Authorizer.leaveTo(held, ofAuthorizers, all)
	}
	if a.processes == nil && a.fleet == nil {
		a.leaveTo(held, "", all)
	}
}

func (a *Application) leaveTo(held map[string]int, of string, all bool) {
	limit, workers := unlimited, a.settings.Load().Workers
	for _, addr := range a.Pool.Addrs() {
		if n := held[of+keyOf(addr)]; n > 0 {
			limit = min(limit, max(workers-n, 0))
		}
	}
	if all {
		limit = 0
	}
	a.Pool.SetLimit(pool.Limit{Connections: limit})
}

// keyOf names an address in the same way in all processes.
func keyOf(backend string) string {
	at := addressOf(backend)
	return at.network + ":" + at.addr
}
