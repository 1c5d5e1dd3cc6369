package registry

import (
	"slices"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// claim is what one configuration wants an application to be.
type claim struct {
	by    *Configuration
	cfg   config.Application
	who   string // the site that was first
	sites int    // behind it
}

// addClaim returns the claim of the configuration of s, with s behind it.
func (a *Application) addClaim(s *Site) *claim {
	c := a.claimOf(s.by)
	if c == nil {
		c = &claim{by: s.by, cfg: s.cfg.Application, who: s.describe()}
		a.claims = append(a.claims, c)
	}
	c.sites++
	return c
}

// claimOf is what a configuration wants a to be, nil if it wants nothing.
func (a *Application) claimOf(by *Configuration) *claim {
	for _, c := range a.claims {
		if c.by == by {
			return c
		}
	}
	return nil
}

// inForce is the claim of the latest of the configurations that run, or are next; nil if none
// of them wants a.
func (a *Application) inForce(next *Configuration) (latest *claim) {
	for _, c := range a.claims {
		if (c.by.runs || c.by == next) && (latest == nil || c.by.number > latest.by.number) {
			latest = c
		}
	}
	return latest
}

// settle has a become what the latest of the configurations wants that run. If none of
// them wants it, it stays as it is.
func (a *Application) settle() error {
	if c := a.inForce(nil); c != nil {
		return a.become(c.cfg)
	}
	return nil
}

// restore is settle where there is nobody to be told of an error.
func (a *Application) restore() {
	if err := a.settle(); err != nil {
		a.log.Error("restoring the settings of an application failed", "application", a.name, "error", err.Error())
	}
}

// withdraw takes s from behind its claim. If its configuration has failed, the one before,
// which runs, is in force again.
func (r *Registry) withdraw(s *Site) {
	c, app := s.claim, s.app
	if c == nil {
		return
	}
	if c.sites--; c.sites == 0 {
		app.claims = slices.DeleteFunc(app.claims, func(other *claim) bool { return other == c })
	}
	if r.pending != nil && r.pending.by == c.by && !slices.ContainsFunc(r.all(), func(a *Application) bool { return a.claimOf(c.by) != nil }) {
		r.cancel()
	}
	app.restore()
}
