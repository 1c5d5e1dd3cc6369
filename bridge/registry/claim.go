package registry

import (
	"slices"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// claim is the settings that one configuration wants an application to have.
type claim struct {
	by    *Configuration
	cfg   config.Application
	id    string // Identity of cfg
	who   string // the first site of the claim, for errors
	name  string // what the configuration calls the application; "": nothing
	sites int    // how many sites share the claim
}

// addClaim adds s to the claim of its configuration, and returns the claim.
func (a *Application) addClaim(s *Site, identity string) *claim {
	c := a.claimOf(s.by)
	if c == nil {
		c = &claim{by: s.by, cfg: s.cfg.Application, id: identity, who: s.describe(), name: s.user.Called}
		a.claims = append(a.claims, c)
	}
	c.sites++
	return c
}

// claimOf returns the claim of a configuration on a, nil if there is none.
func (a *Application) claimOf(by *Configuration) *claim {
	for _, c := range a.claims {
		if c.by == by {
			return c
		}
	}
	return nil
}

// inForce returns the claim of the latest configuration that runs or is next; nil if none of
// these has one.
func (a *Application) inForce(next *Configuration) (latest *claim) {
	for _, c := range a.claims {
		if (c.by.runs || c.by == next) && (latest == nil || c.by.number > latest.by.number) {
			latest = c
		}
	}
	return latest
}

// applyInForce applies the claim of the latest configuration that runs. Without such a claim, a
// keeps its settings.
func (a *Application) applyInForce() error {
	if c := a.inForce(nil); c != nil {
		return a.apply(&c.cfg)
	}
	return nil
}

// applyOrLog is applyInForce for callers that cannot return the error.
func (a *Application) applyOrLog() {
	if err := a.applyInForce(); err != nil {
		a.log.Error("restoring the settings of an application failed", "application", a.name, "error", err.Error(), "advice", "load the configuration again")
	}
}

// withdraw removes s from its claim. If the configuration of s has failed, the claim of the
// configuration that runs is in force again.
func (r *Registry) withdraw(s *Site) {
	c, app := s.claim, s.app
	if c == nil {
		return
	}
	if c.sites--; c.sites == 0 {
		app.claims = slices.DeleteFunc(app.claims, func(other *claim) bool { return other == c })
	}
	if r.pending != nil && r.pending.by == c.by && !slices.ContainsFunc(r.applications(), func(a *Application) bool { return a.claimOf(c.by) != nil }) {
		r.cancel()
	}
	app.applyOrLog()
}
