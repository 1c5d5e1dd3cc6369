package admission

import (
	"errors"
	"fmt"
	"time"
)

// ErrOtherKind is returned by Configure for a Config that needs a new gate.
var ErrOtherKind = errors.New("admission: only another gate can go by that")

// Configure replaces the gate's Config. It returns an error and changes nothing if New would refuse
// cfg, or if Lanes differs (ErrOtherKind). Clock, Capacity and OnStall keep their values, whatever
// cfg has.
//
// No request is refused or stopped because of the change. Requests in flight keep their slots, even
// if there are more of them than Workers now. Waiting requests may wait for as long as when they
// came, even if there are more of them than Size or LongSize now. What the gate has learned stays:
// the lanes of routes, what clients have used, the load, a stall. Clients keep what they have
// saved, up to ClientBurst. A request that counts as long stays long, whatever LongAfter is.
func (g *Gate) Configure(cfg Config) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.checkNext(&cfg); err != nil {
		return err
	}
	now := g.now()
	g.detectPause(now)
	for _, c := range g.clients.table {
		if !c.shared {
			g.updateBudget(c, now) // at the old rate
		}
	}
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

// CanBecome returns the error that Configure would return, and changes nothing.
func (g *Gate) CanBecome(cfg Config) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.checkNext(&cfg)
}

// checkNext returns an error if cfg cannot replace the current Config.
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

// reconsider computes anew what depends on Config, and looks again at requests that wait for others
// of their route or client: these may have higher limits now.
func (g *Gate) reconsider(now time.Duration) {
	need := g.load.need(g.slots, g.cfg.WaitTarget)
	for i := range g.needs {
		g.needs[i] = max(g.needs[i], need) // needs computed for fewer slots may be too low
	}
	g.setLongTarget()
	g.ageAll(now)
	g.recheckThrottled(g.throttled.n, now)
	g.recheckRoutes(g.blockedRoutes.n, now)
	g.releaseUnknown()
}
