package registry

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// ErrClosed is returned after Close.
var ErrClosed = errors.New("sluice: the process is ending")

// errNotInUse reports that an application has been closed.
var errNotInUse = errors.New("sluice: application is not in use")

// Options are the dependencies of a Registry on its program. All are optional.
type Options struct {
	// Log returns the handler for applications without a User. It is called for each record.
	// Default: records are discarded.
	Log func() slog.Handler
	// Exiting reports whether the process is ending. Released sites then no longer wait for
	// requests. Default: false.
	Exiting func() bool
	// Grace is how long a released site stays open, and its application with it, although no request
	// is in it: the server may have chosen the site for a request that does not use it yet. A server
	// such as Caddy may also release a configuration while its last requests are still in other
	// handlers. Default: 10 s.
	Grace time.Duration
	// Reexec is bridge.ApplicationHooks.Reexec.
	Reexec bool
}

// Registry holds the applications of a process. It is safe for concurrent use.
type Registry struct {
	options Options
	apps    atomic.Pointer[[]*Application] // sorted by name; the slice is replaced under mu, never changed
	closing sync.WaitGroup                 // applications being closed

	mu      sync.Mutex     // held while claims are added, applied and withdrawn
	latest  uint64         // number of the latest configuration
	running *Configuration // nil: none
	pending *pendingReload // the configuration that is to follow running; nil: none
	closed  bool           // Close was called and closes all applications
}

// New returns an empty Registry.
func New(o Options) *Registry {
	if o.Log == nil {
		o.Log = func() slog.Handler { return slog.DiscardHandler }
	}
	if o.Grace == 0 {
		o.Grace = 10 * time.Second
	}
	if o.Exiting == nil {
		o.Exiting = func() bool { return false }
	}
	r := &Registry{options: o}
	r.apps.Store(new([]*Application))
	return r
}

// Close closes all applications, those in their grace period included, and waits for their
// processes to end. Stop the server in front first: sites in use get no answers any more. Their
// Release must still be called. Close may be called more than once.
func (r *Registry) Close() {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		r.cancel()
		for _, app := range r.applications() {
			app.endGrace()
			r.closing.Go(app.close)
		}
	}
	r.mu.Unlock()
	r.closing.Wait()
}

// EndGrace ends the grace periods of all released sites, which then wait for their requests only. A
// server that ends calls it.
func (r *Registry) EndGrace() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, app := range r.applications() {
		app.endGrace()
	}
}

// applications returns all applications, those in their grace period included.
func (r *Registry) applications() []*Application { return *r.apps.Load() }

// Applications returns the applications that a configuration uses, sorted by name.
func (r *Registry) Applications() (list []*Application) {
	for _, app := range r.applications() {
		if app.inUse() {
			list = append(list, app)
		}
	}
	return list
}

// acquire finds or opens the application for the settings of s, adds s to its sites, and adds s to
// the claim of its configuration. The present settings change only if the configuration already
// runs. If former is not nil, s has its handler.
func (r *Registry) acquire(s, former *Site) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	app, identity, err := r.find(s)
	switch {
	case err != nil:
		return err
	case former != nil && (former.app != app || former.sites == 0):
		return ErrCannotKeep
	case app == nil:
		if app, err = r.open(s); err != nil {
			return err
		}
	}
	if former != nil {
		s.opened = former.opened
		s.sites++
	} else {
		r.addOpened(s, app)
	}
	s.app, s.claim = app, app.addClaim(s, identity)
	if err := app.applyInForce(); err != nil {
		r.undo(s)
		return err
	}
	if s.by.runs {
		app.startUnspawned() // otherwise commit does
	}
	return nil
}

// addUnclaimed adds s to the sites of an application without a claim, if the application is not
// closed.
func (r *Registry) addUnclaimed(app *Application, s *Site) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || len(app.sites) == 0 {
		return errNotInUse
	}
	r.addOpened(s, app)
	s.app = app
	return nil
}

// addOpened gives s a place for a handler of its own, which keeps the application open.
func (r *Registry) addOpened(s *Site, app *Application) {
	s.opened = &opened{sites: 1}
	app.sites[s.opened] = nil
}

// undo undoes acquire and addUnclaimed.
func (r *Registry) undo(s *Site) {
	r.withdraw(s)
	if s.sites--; s.sites == 0 {
		r.drop(s.app, s.opened)
	}
}

// drop removes a handler that is closed, or was never made. An application without one is closed
// in the background; Close waits for that.
func (r *Registry) drop(app *Application, o *opened) {
	delete(app.sites, o)
	if len(app.sites) > 0 {
		return
	}
	r.apps.Store(new(slices.DeleteFunc(slices.Clone(r.applications()), func(other *Application) bool { return other == app })))
	if !r.closed {
		r.closing.Go(app.close)
	}
}

// find returns the application for the settings of s, nil if there is none, and the Identity of the
// settings: the application that the configuration of s has claimed for the same backends; otherwise the
// most similar one of another configuration that can be changed to these settings: with the same
// backends or the same command, with the same name in the configuration in force, or with some of the
// backends.
func (r *Registry) find(s *Site) (_ *Application, identity string, err error) {
	for _, app := range r.applications() { // most sites have settings that were seen before
		if c := app.claimOf(s.by); c != nil && reflect.DeepEqual(&c.cfg, &s.cfg.Application) {
			return app, c.id, nil
		}
	}
	identity = s.cfg.Identity()
	for _, app := range r.applications() {
		c := app.claimOf(s.by)
		if c == nil || c.id != identity {
			continue
		}
		if err := bridge.Agree(c.cfg, s.cfg.Application); err != nil {
			return nil, "", conflict(err, c.who, s.describe(), app.name)
		}
		return app, identity, nil
	}
	var best *Application
	most := 0
	for _, app := range r.applications() {
		if app.claimOf(s.by) != nil {
			continue
		}
		n := app.similarity(&s.cfg.Application, identity)
		if c := app.inForce(nil); s.user.Called != "" && c != nil && c.name == s.user.Called {
			n += len(s.cfg.Backends) + 1 // more than common backends, and less than all of them
		}
		if n > most && app.bridged.CanBecome(s.cfg.Application) == nil {
			best, most = app, n
		}
	}
	return best, identity, nil
}

// conflict returns the error for two sites with different settings of one application. one and two
// name the sites.
func conflict(err error, one, two, application string) error {
	both := one + " and " + two
	if one == two {
		both = "two handlers of the configuration (" + one + ")"
	}
	return fmt.Errorf("%w: %s share the application %s, which has one gate for both: give both the same value", err, both, application)
}

// similarity says how much the settings in force and others, with that identity, have in common; 0 is
// nothing.
func (a *Application) similarity(two *config.Application, identity string) (n int) {
	one := a.settings.Load()
	if a.identity() == identity {
		return 2 * (1 + len(one.Backends) + len(two.Backends))
	}
	if a, b := one.Spawn, two.Spawn; a != nil && b != nil && isFixedAddress(a.Listen) && a.Listen == b.Listen {
		return 1 // only one application can listen there, so the new one must replace the old one
	}
	theirs := two.Addresses()
	for _, addr := range one.Addresses() {
		if slices.Contains(theirs, addr) {
			n++
		}
	}
	return n
}

// isFixedAddress reports whether only one application can listen at an address.
func isFixedAddress(listen string) bool { return listen != "" && !strings.HasSuffix(listen, ":0") }

// open adds an application with the settings of s.
func (r *Registry) open(s *Site) (*Application, error) {
	app, err := newApplication(r.uniqueName(nameOf(&s.cfg.Application)), s, r.options)
	if err != nil {
		return nil, err
	}
	list := append(slices.Clone(r.applications()), app)
	slices.SortFunc(list, func(a, b *Application) int { return cmp.Compare(a.name, b.name) })
	r.apps.Store(&list)
	return app, nil
}

// uniqueName returns name, with a number if another application has it.
func (r *Registry) uniqueName(name string) string {
	unique := name
	for n := 2; slices.ContainsFunc(r.applications(), func(a *Application) bool { return a.name == unique }); n++ {
		unique = fmt.Sprintf("%s (%d)", name, n)
	}
	return unique
}

// nameOf returns the name for an application with these settings.
func nameOf(cfg *config.Application) string {
	if s := cfg.Spawn; s != nil {
		return s.Command[0] // its arguments may be secret
	}
	return strings.Join(cfg.Backends, " ")
}
