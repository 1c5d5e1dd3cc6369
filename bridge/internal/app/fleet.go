package app

import (
	"fmt"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/events"
	"github.com/sluice-proxy/sluice/bridge/fleet"
	"github.com/sluice-proxy/sluice/bridge/pool"
)

// leaseTerm is how long a gate may use its workers without hearing of the fleet's engine.
const leaseTerm = 5 * time.Second

// join has the application share its workers with other gates, if it is to. Until Start nothing can
// be connected to.
func (a *Application) join(cfg *config.Application) error {
	f := &cfg.Fleet
	if f.Engine == "" {
		return nil
	}
	ledger, err := fleet.NewRedis(f.Engine, f.Application)
	if err != nil {
		return fmt.Errorf("fleet.engine: %w", err)
	}
	a.fleet, err = fleet.New(fleet.Config{
		Terms:  fleet.Terms{Workers: cfg.Workers, Gates: f.Gates, Term: leaseTerm, Settle: time.Duration(f.Settle), Forget: time.Duration(f.Forget)},
		Ledger: ledger, Name: f.Name, Usage: a.fleetUsage, Clients: &clients{app: a}, Logger: a.hooks.Logger,
		Changed: a.onFleet,
		Apply: func(connections int, until time.Time, then int) {
			a.Pool.SetLimit(pool.Limit{Connections: connections, Until: until, Then: then})
		},
	})
	if err != nil {
		_ = ledger.Close()
		return err
	}
	a.Pool.SetLimit(pool.Limit{})
	return nil
}

func (a *Application) onFleet(s fleet.State) {
	text := map[string]string{
		fleet.Leased:      fmt.Sprintf("The fleet's engine leases workers to this gate; it begins with %d.", s.Allowed),
		fleet.Alone:       fmt.Sprintf("The fleet's engine cannot be reached. This gate uses its share of the workers, %d.", s.Share),
		fleet.TooMany:     fmt.Sprintf("There are %d other gates, as many as there may be. This one gets no workers.", s.Most),
		fleet.DrainingNow: "This gate gives its workers back to the others.",
	}[s.Status]
	if text != "" {
		a.Events.Add(events.Event{Kind: events.Fleet, Text: text})
	}
}

// fleetUsage is what the gate needs of each instance.
func (a *Application) fleetUsage() fleet.Usage {
	return usage(a.Gate.Sample(), a.Pool.Connections(), max(1, len(a.settings.Load().Backends)))
}

// usage is what a gate with so many instances needs. Short requests that wait are more than they need workers
// if the gate had too few for a moment: a lease by their number would take the workers of gates that have as
// much to do, which would then have too few. Therefore the measured load counts, and one more than run.
func usage(s admission.Sample, connections, instances int) fleet.Usage {
	each := func(n int) int { return (n + instances - 1) / instances }
	running := s.InUse - s.Long
	short := min(running+s.Waiting, max(running, s.ShortNeed)+1)
	return fleet.Usage{Connections: connections, Short: each(short), Wanted: each(s.InUse + s.Waiting + s.Parked)}
}

// FleetState returns what is known of the other gates, nil if there are none.
func (a *Application) FleetState() *fleet.State {
	if a.fleet == nil {
		return nil
	}
	return new(a.fleet.State())
}

// GiveBack has the application give back, to the other gates, what it does not need any more: it gets no
// new requests.
func (a *Application) GiveBack() {
	if a.fleet != nil {
		a.fleet.Drain()
	}
}
