package caddyplugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// applications are those that outlive configurations.
var applications = registry{pool: caddy.NewUsagePool()}

// registry knows which application a configuration means. An application is its own key
// in the pool: what it is known by may change while it is there.
type registry struct {
	pool    *caddy.UsagePool // a use is a site that is not closed
	closing sync.WaitGroup   // backends being closed

	mu      sync.Mutex // held while claims are made, carried out and withdrawn
	latest  uint64     // number of the latest configuration
	running *App       // the configuration that runs; nil: none
	pending *reload    // the one that is to follow it; nil: none
}

// claim is what one configuration wants an application to be.
type claim struct {
	by    *App
	cfg   config.Application
	who   string // the module that was first
	users int    // modules
}

// errGone says that an application was not there any more.
var errGone = errors.New("sluice: application is not in use")

func init() { caddy.OnExit(func(context.Context) { applications.end() }) }

// end closes what lingers at the end of the process, and waits for what is being closed:
// processes would be left.
func (r *registry) end() {
	for _, app := range r.all() {
		if err := app.close(); err != nil {
			caddy.Log().Named("sluice").Error("closing " + app.name + " failed: " + err.Error())
		}
	}
	r.closing.Wait()
}

// all lists the applications, those that linger included.
func (r *registry) all() (list []*application) {
	r.pool.Range(func(_, value any) bool {
		list = append(list, value.(*application))
		return true
	})
	slices.SortFunc(list, func(a, b *application) int { return cmp.Compare(a.name, b.name) })
	return list
}

// claim returns the application that cfg means, kept for one more site, and the claim on
// it. What it holds now is changed only if the configuration runs already.
func (r *registry) claim(cfg config.Config, out *outlet) (*application, *claim, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	app, err := r.find(&cfg, out)
	if err != nil {
		return nil, nil, err
	}
	if app == nil {
		app = &application{name: r.free(nameOf(&cfg.Application))}
	}
	_, _, err = r.pool.LoadOrNew(app, func() (caddy.Destructor, error) { return app, app.open(cfg.Application, out) })
	if err != nil {
		return nil, nil, err
	}
	c := app.claimOf(out.generation)
	if c == nil {
		c = &claim{by: out.generation, cfg: cfg.Application, who: out.who(&cfg.Site)}
		app.claims = append(app.claims, c)
	}
	c.users++
	if err := app.settle(); err != nil {
		app.drop(c)
		_, gone := r.pool.Delete(app)
		return nil, nil, errors.Join(err, gone)
	}
	return app, c, nil
}

// find returns the application that cfg means, nil if it is not there: the one that its
// configuration has claimed for the same backend; else the one that another has left as
// that, or as something that can become that.
func (r *registry) find(cfg *config.Config, out *outlet) (*application, error) {
	identity, all := cfg.Identity(), r.all()
	for _, app := range all {
		c := app.claimOf(out.generation)
		if c == nil || c.cfg.Identity() != identity {
			continue
		}
		if err := bridge.Agree(c.cfg, cfg.Application); err != nil {
			return nil, conflict(err, c.who, out.who(&cfg.Site), app.name)
		}
		return app, nil
	}
	var best *application
	most := 0
	for _, app := range all {
		if n := likeness(app.now.Load(), &cfg.Application); n > most && app.claimOf(out.generation) == nil && app.backend.CanBecome(cfg.Application) == nil {
			best, most = app, n
		}
	}
	return best, nil
}

// likeness is how much of a backend two configurations have in common: nothing is 0.
func likeness(one, two *config.Application) (n int) {
	if one.Identity() == two.Identity() {
		return 1 + len(one.Backends) + len(two.Backends)
	}
	if a, b := one.Spawn, two.Spawn; a != nil && b != nil && isFixed(a.Listen) && a.Listen == b.Listen {
		return 1 // only one of them can listen there: the other's processes take the place of these
	}
	theirs := two.Addresses()
	for _, addr := range one.Addresses() {
		if slices.Contains(theirs, addr) {
			n++
		}
	}
	return n
}

// isFixed reports whether only one application can listen there.
func isFixed(listen string) bool { return listen != "" && !strings.HasSuffix(listen, ":0") }

// free is a name that no application has.
func (r *registry) free(name string) string {
	taken := make(map[string]bool)
	for _, app := range r.all() {
		taken[app.name] = true
	}
	unique := name
	for n := 2; taken[unique]; n++ {
		unique = fmt.Sprintf("%s (%d)", name, n)
	}
	return unique
}

// keep keeps an application for one more site, if it is there.
func (r *registry) keep(app *application) error {
	_, _, err := r.pool.LoadOrNew(app, func() (caddy.Destructor, error) { return nil, errGone })
	return err
}

// forget undoes keep.
func (r *registry) forget(app *application) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err := r.pool.Delete(app)
	return err
}

// withdraw undoes claim, but for the keeping. If the configuration has failed, the one
// before it, which runs, rules on.
func (r *registry) withdraw(app *application, c *claim) {
	if c == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	app.drop(c)
	if r.pending != nil && r.pending.by == c.by && !slices.ContainsFunc(r.all(), func(a *application) bool { return a.claimOf(c.by) != nil }) {
		r.cancel()
	}
	app.restore()
}

// settle has a become what the latest of the configurations wants that run. If none of
// them wants it, it stays as it is.
func (a *application) settle() error {
	if c := a.rules(nil); c != nil {
		return a.become(c.cfg)
	}
	return nil
}

// rules is the claim of the latest of the configurations that run, or are next; nil if
// none of them wants a.
func (a *application) rules(next *App) (latest *claim) {
	for _, c := range a.claims {
		if (c.by.runs || c.by == next) && (latest == nil || c.by.number > latest.by.number) {
			latest = c
		}
	}
	return latest
}

// restore is settle where there is nobody to be told of an error.
func (a *application) restore() {
	if err := a.settle(); err != nil {
		caddy.Log().Named("sluice").Error("restoring the settings of " + a.name + " failed: " + err.Error())
	}
}

// claimOf is what a configuration wants a to be, nil if it wants nothing.
func (a *application) claimOf(by *App) *claim {
	for _, c := range a.claims {
		if c.by == by {
			return c
		}
	}
	return nil
}

// drop has one module less behind a claim.
func (a *application) drop(c *claim) {
	if c.users--; c.users > 0 {
		return
	}
	a.claims = slices.DeleteFunc(a.claims, func(other *claim) bool { return other == c })
}
