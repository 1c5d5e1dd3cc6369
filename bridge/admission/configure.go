package admission

import (
	"errors"
	"fmt"
	"time"
)

// ErrOtherKind is what Configure returns for a Config that only another gate can go by.
var ErrOtherKind = errors.New("admission: only another gate can go by that")

// Configure has the gate go by cfg from now on. What New would refuse is refused, and
// changes nothing; so does ErrOtherKind, which says that Lanes is another. Clock,
// Capacity and OnStall stay as they are, whatever cfg says.
//
// Nobody is refused because of it, and nobody stopped: those who hold slots keep them,
// although they may be more than Workers now, and those who wait may do so for as long
// as when they came, although they may be more than Size or LongSize now. What was
// learned stays, too: the lanes of routes, what flows have used, the load, a stall. Flows
// keep what they have saved, up to FlowBurst; who counts as long goes on doing so,
// whatever LongAfter is.
func (g *Gate) Configure(cfg Config) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.checkNext(&cfg); err != nil {
		return err
	}
	now := g.now()
	g.detectPause(now)
	g.updateBudgets(now) // at the rate there was
	cfg.Clock, cfg.Capacity, cfg.OnStall = g.cfg.Clock, g.cfg.Capacity, g.cfg.OnStall
	g.cfg = cfg
	g.routes.limit(cfg.Routes)
	g.clients.max = cfg.Clients
	g.clients.trim()
	g.remeasure()
	if cfg.Lanes {
		g.reconsider(now)
	}
	g.dispatch(now)
	return nil
}

// CanBecome returns the error that Configure would, and changes nothing.
func (g *Gate) CanBecome(cfg Config) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.checkNext(&cfg)
}

// checkNext reports what speaks against a Config in place of the one there is.
func (g *Gate) checkNext(cfg *Config) error {
	if err := cfg.check(); err != nil {
		return err
	}
	switch {
	case g.closed:
		return ErrClosed
	case cfg.Lanes != g.cfg.Lanes:
		return fmt.Errorf("admission: lanes: is %t, was %t: %w", cfg.Lanes, g.cfg.Lanes, ErrOtherKind)
	}
	return nil
}

// updateBudgets brings all budgets up to date.
func (g *Gate) updateBudgets(now time.Duration) {
	for _, f := range g.clients.table {
		if !f.shared {
			g.updateBudget(f, now)
		}
	}
}

// reconsider has everything that hangs on Config found out anew. Those who wait for
// others of their kind, or of their flow, are looked at again: they may have more now.
func (g *Gate) reconsider(now time.Duration) {
	need := g.load.need(g.slots, g.cfg.WaitTarget)
	for i := range g.needs {
		g.needs[i] = max(g.needs[i], need) // those that were found for fewer slots may be too low
	}
	g.setLongTarget()
	g.ageAll(now)
	g.recheckThrottled(g.throttled.n, now)
	g.recheckRoutes(g.blockedRoutes.n, now)
	g.releaseUnknown()
}
