package app

import (
	"cmp"
	"fmt"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/fleet"
)

// Complete fills in all defaults of an application and checks it. An error begins
// with the key.
func Complete(a *config.Application) error {
	if err := a.Complete(); err != nil {
		return err
	}
	if err := fleet.CheckEngine(a.Fleet.Engine); a.Fleet.Engine != "" && err != nil {
		return fmt.Errorf("fleet.engine: %w", err)
	}
	if a.Lanes == config.Off && a.Reserve != nil {
		return MeansNothing("reserve")
	}
	if a.Lanes == config.Off && a.ClientLimit != 0 {
		return MeansNothing("client.limit")
	}
	if a.Lanes == config.Off && a.MaxUpgraded != 0 {
		return MeansNothing("max_upgraded")
	}
	return completeGate(a)
}

// MeansNothing returns the error for a setting that has no effect while lanes is off.
func MeansNothing(key string) error {
	return fmt.Errorf("%s: means nothing in a plain queue, and lanes is off", key)
}

// What the gate can count. It would refuse more itself, but does not know the settings' names.
const (
	mostWorkers = 1_000_000_000
	mostWaiting = 1 << 30
	mostBudget  = 1e9 // less than that
)

// checkSizes refuses what the gate cannot count.
func checkSizes(app *config.Application) error {
	instances := len(app.Backends)
	if app.Spawn != nil {
		instances = app.Spawn.MaxInstances
	}
	switch q, a := &app.Queue, &app.Admission; {
	case instances > mostWorkers || app.Workers > mostWorkers/instances:
		return fmt.Errorf("workers: is %d, want at most %d, those of all instances together", app.Workers, mostWorkers)
	case q.Size > mostWaiting:
		return fmt.Errorf("queue.size: is %d, want at most %d", q.Size, mostWaiting)
	case q.LongSize > mostWaiting:
		return fmt.Errorf("queue.long_size: is %d, want at most %d", q.LongSize, mostWaiting)
	case a.ClientRate >= mostBudget:
		return fmt.Errorf("admission.client_rate: is %g, want less than %g", a.ClientRate, mostBudget)
	case a.ClientBurst >= mostBudget:
		return fmt.Errorf("admission.client_burst: is %g, want less than %g", a.ClientBurst, mostBudget)
	}
	return nil
}

// completeGate fills in the defaults that depend on the number of workers of all instances,
// and checks the settings that must fit it.
func completeGate(app *config.Application) error {
	if err := checkSizes(app); err != nil {
		return err
	}
	workers := app.AllWorkers()
	d, a := admission.Defaults(workers), &app.Admission
	app.ClientLimit, a.Unknown = cmp.Or(app.ClientLimit, d.ClientLimit), cmp.Or(a.Unknown, d.Unknown)
	if app.Reserve == nil {
		app.Reserve = &d.Reserve
	}
	most := workers - *app.Reserve
	app.MaxUpgraded = cmp.Or(app.MaxUpgraded, min(d.MaxUpgraded, most))
	if a.LongMin == nil {
		a.LongMin = new(min(d.LongMin, most))
	}
	switch reserve := *app.Reserve; {
	case reserve != 0 && workers == 1:
		return fmt.Errorf("reserve: is %d, want 0: there is one worker", reserve)
	case reserve < 0 || reserve >= workers:
		return fmt.Errorf("reserve: is %d, want 0 to %d: of %d workers one at least must be left for other requests", reserve, workers-1, workers)
	case app.MaxUpgraded > most:
		return fmt.Errorf("max_upgraded: is %d, want 1 to %d: the reserve is %d of %d workers, and upgraded connections never take it", app.MaxUpgraded, most, reserve, workers)
	case *a.LongMin < 0 || *a.LongMin > most:
		return fmt.Errorf("admission.long_min: is %d, want 0 to %d: the reserve is %d of %d workers", *a.LongMin, most, reserve, workers)
	case a.Unknown > workers:
		return fmt.Errorf("admission.unknown: is %d, and there are %d workers", a.Unknown, workers)
	case a.SpentLimit > app.ClientLimit:
		return fmt.Errorf("admission.spent_limit: is %d, want at most client.limit, which is %d", a.SpentLimit, app.ClientLimit)
	}
	a.SpentLimit = cmp.Or(a.SpentLimit, min(d.SpentLimit, app.ClientLimit))
	a.ClientRate, a.ClientBurst = cmp.Or(a.ClientRate, d.ClientRate), cmp.Or(a.ClientBurst, d.ClientBurst)
	return nil
}

// gate is what the gate is told. The instances' workers are one lot for it; which
// instance a request goes to is the pool's choice.
func gate(app *config.Application) admission.Config {
	g := admission.Defaults(app.AllWorkers())
	g.Lanes = app.Lanes == config.On
	g.Size, g.LongSize = app.Queue.Size, app.Queue.LongSize
	g.Timeout, g.LongTimeout = time.Duration(app.Queue.Timeout), time.Duration(app.Queue.LongTimeout)
	g.Reserve, g.MaxUpgraded = *app.Reserve, app.MaxUpgraded
	g.ClientLimit = min(app.ClientLimit, g.Workers)
	a := &app.Admission
	g.LongAfter, g.StallAfter, g.WaitTarget = time.Duration(a.LongAfter), time.Duration(a.StallAfter), time.Duration(a.WaitTarget)
	g.Unknown, g.LongMin = a.Unknown, *a.LongMin
	g.ClientRate, g.ClientBurst, g.SpentLimit = a.ClientRate, a.ClientBurst, min(a.SpentLimit, g.ClientLimit)
	return g
}
