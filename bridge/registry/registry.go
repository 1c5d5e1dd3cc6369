package registry

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// ErrClosed is what is returned after Close.
var ErrClosed = errors.New("sluice: the process is ending")

// errGone says that an application was not there any more.
var errGone = errors.New("sluice: application is not in use")

// Options are what a Registry needs of the program that it is part of. All are optional.
type Options struct {
	// Log is asked where applications log that have no User, each time anew. Default: nowhere.
	Log func() slog.Handler
	// Exiting reports whether the process ends, so that sites which are released do not wait
	// for requests any more. Default: it never does, before Close.
	Exiting func() bool
	// Reexec is bridge.ApplicationHooks.Reexec.
	Reexec bool
}

// Registry has the applications of a process. Its methods may be called at the same time.
type Registry struct {
	options Options
	apps    atomic.Pointer[[]*Application] // by name; replaced while mu is held, never changed
	closing sync.WaitGroup                 // applications being closed

	mu      sync.Mutex     // held while claims are made, carried out and withdrawn
	latest  uint64         // number of the latest configuration
	running *Configuration // nil: none
	pending *reload        // the one that is to follow the one that runs; nil: none
	closed  bool           // Close was called, which closes all applications itself
}

// New returns a Registry without an application.
func New(o Options) *Registry {
	if o.Log == nil {
		o.Log = func() slog.Handler { return slog.DiscardHandler }
	}
	if o.Exiting == nil {
		o.Exiting = func() bool { return false }
	}
	r := &Registry{options: o}
	r.apps.Store(new([]*Application))
	return r
}

// Close closes the applications that are still there, those in their grace period included,
// and waits for their processes to end. Sites that are in use get no answers any more; their
// Release is still to be called. Stop the server in front first. It may be called more than
// once.
func (r *Registry) Close() {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		r.cancel()
		for _, app := range r.all() {
			app.endGrace()
			r.closing.Go(app.close)
		}
	}
	r.mu.Unlock()
	r.closing.Wait()
}

// all lists the applications, those in their grace period included.
func (r *Registry) all() []*Application { return *r.apps.Load() }

// Applications lists those that a configuration uses, by name.
func (r *Registry) Applications() (list []*Application) {
	for _, app := range r.all() {
		if app.inUse() {
			list = append(list, app)
		}
	}
	return list
}

// acquire finds or opens the application that the settings of s mean, adds s to its sites, and
// makes the claim of s on it. What the application is now changes only if the configuration
// runs already.
func (r *Registry) acquire(s *Site) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	app, err := r.find(s)
	if err == nil && app == nil {
		app, err = r.open(s)
	}
	if err != nil {
		return err
	}
	app.sites[s] = nil
	s.app, s.claim = app, app.addClaim(s)
	if err := app.settle(); err != nil {
		r.withdraw(s)
		r.drop(s)
		return err
	}
	return nil
}

// keep adds s to the sites of an application without a claim, if that is still there.
func (r *Registry) keep(app *Application, s *Site) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || len(app.sites) == 0 {
		return errGone
	}
	app.sites[s] = nil
	s.app = app
	return nil
}

// drop undoes acquire and keep when s is closed. An application without a site is closed, which
// nobody waits for but Close.
func (r *Registry) drop(s *Site) {
	app := s.app
	delete(app.sites, s)
	if len(app.sites) > 0 {
		return
	}
	r.apps.Store(new(slices.DeleteFunc(slices.Clone(r.all()), func(other *Application) bool { return other == app })))
	if !r.closed {
		r.closing.Go(app.close)
	}
}

// find returns the application that the settings of s mean, nil if it is not there: the one
// that its configuration has claimed for the same backend; else the one that another has left
// as that, or as something that can become that.
func (r *Registry) find(s *Site) (*Application, error) {
	identity := s.cfg.Identity()
	for _, app := range r.all() {
		c := app.claimOf(s.by)
		if c == nil || c.cfg.Identity() != identity {
			continue
		}
		if err := bridge.Agree(c.cfg, s.cfg.Application); err != nil {
			return nil, conflict(err, c.who, s.describe(), app.name)
		}
		return app, nil
	}
	var best *Application
	most := 0
	for _, app := range r.all() {
		if n := likeness(app.settings.Load(), &s.cfg.Application); n > most && app.claimOf(s.by) == nil && app.backend.CanBecome(s.cfg.Application) == nil {
			best, most = app, n
		}
	}
	return best, nil
}

// conflict is the error of two sites that want an application to be different things. one and
// two say which they are.
func conflict(err error, one, two, application string) error {
	both := one + " and " + two
	if one == two {
		both = "two handlers of the configuration (" + one + ")"
	}
	return fmt.Errorf("%w: %s share the application %s, which has one gate for both: give both the same value", err, both, application)
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

// open makes an application that is as s wants it.
func (r *Registry) open(s *Site) (*Application, error) {
	app, err := newApplication(r.free(nameOf(&s.cfg.Application)), s, r.options)
	if err != nil {
		return nil, err
	}
	list := append(slices.Clone(r.all()), app)
	slices.SortFunc(list, func(a, b *Application) int { return cmp.Compare(a.name, b.name) })
	r.apps.Store(&list)
	return app, nil
}

// free is a name that no application has.
func (r *Registry) free(name string) string {
	unique := name
	for n := 2; slices.ContainsFunc(r.all(), func(a *Application) bool { return a.name == unique }); n++ {
		unique = fmt.Sprintf("%s (%d)", name, n)
	}
	return unique
}

// nameOf is what an application with that configuration should be called.
func nameOf(cfg *config.Application) string {
	if s := cfg.Spawn; s != nil {
		return s.Command[0] // its arguments may be secret
	}
	return strings.Join(cfg.Backends, " ")
}
