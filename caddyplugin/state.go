package caddyplugin

import (
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// lingering is how long a site that no configuration uses stays open, and its application
// with it. Caddy cleans a configuration up while its last requests are on their way
// through other handlers.
const lingering = 10 * time.Second

// application is a backend, and who uses it.
type application struct {
	backend   *bridge.Backend
	name      string // what it is called where people read it; it keeps it while it lives
	outlets   outlets
	collector prometheus.Collector
	events    eventQueue

	now     atomic.Pointer[config.Application] // what holds, as it was written
	claims  []*claim                           // applications.mu
	started bool                               // the processes were started, if there are to be any; applications.mu

	used atomic.Int64 // when a request was last sent here as to an upstream, in Unix time; 0: never

	mu     sync.Mutex
	leases []*lease // those in use
}

// lease is a module's share of an application: a site in front of it.
type lease struct {
	app    *application
	cfg    config.Config
	site   *bridge.Bridge
	out    *outlet
	claim  *claim // nil: it has no say in what the backend is
}

// acquire returns a site in front of the application that cfg means: the one that is
// there, or a new one. If it is there and cfg has it otherwise, it changes when the
// configuration that out belongs to starts. Until the lease is released, out is where the
// application's log goes, if no other came later.
func acquire(cfg config.Config, out *outlet) (*lease, error) {
	app, c, err := applications.claim(cfg, out)
	if err != nil {
		return nil, err
	}
	return app.lease(cfg, out, c)
}

// hold returns a site in front of an application, and has no say in what that is: it only
// keeps it.
func hold(app *application, cfg config.Config, out *outlet) (*lease, error) {
	if err := applications.keep(app); err != nil {
		return nil, err
	}
	return app.lease(cfg, out, nil)
}

// lease opens a site. The application was kept for it.
func (a *application) lease(cfg config.Config, out *outlet, c *claim) (*lease, error) {
	l := &lease{app: a, cfg: cfg, out: out, claim: c}
	var err error
	if l.site, err = a.backend.Bridge(cfg.Site, hooksOf(&cfg.Site)); err != nil {
		applications.withdraw(a, c)
		return nil, errors.Join(err, applications.forget(a))
	}
	a.outlets.add(out)
	a.mu.Lock()
	a.leases = append(a.leases, l)
	a.mu.Unlock()
	if err := a.register(out.registry); err != nil {
		return nil, errors.Join(err, l.release())
	}
	return l, nil
}

// release gives the site back. A lease that is nil was never had.
func (l *lease) release() error {
	if l == nil {
		return nil
	}
	l.app.outlets.remove(l.out)
	l.app.mu.Lock()
	l.app.leases = slices.DeleteFunc(l.app.leases, func(other *lease) bool { return other == l })
	l.app.mu.Unlock()
	l.app.unregister(l.out.registry)
	applications.withdraw(l.app, l.claim)
	if caddy.Exiting() {
		// Caddy has waited for the requests as long as it wants to: those that are left end
		// when the backend closes.
		go l.site.Close()
		return applications.forget(l.app)
	}
	time.AfterFunc(lingering, l.drain)
	return nil
}

// drain closes the site when the requests in it have ended, and those that the
// configuration had accepted before have come. At the end of the process they all have.
func (l *lease) drain() {
	if err := errors.Join(l.site.CloseWhenIdle(), applications.forget(l.app)); err != nil {
		caddy.Log().Named("sluice").Error("closing a site failed: " + err.Error())
	}
}

// ServeHTTP answers r.
func (l *lease) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.site.ServeHTTP(w, r)
}

// open makes the backend.
func (a *application) open(cfg config.Application, out *outlet) (err error) {
	a.outlets.add(out) // NewBackend may have something to say
	defer a.outlets.remove(out)
	a.now.Store(&cfg)
	if a.backend, err = bridge.NewBackend(cfg, a.hooks()); err != nil {
		return err
	}
	a.collector = a.newCollector()
	return nil
}

// hooks returns the logger and callbacks of the backend.
func (a *application) hooks() bridge.BackendHooks {
	return bridge.BackendHooks{
		Logger:  slog.New(&logHandler{to: &a.outlets}),
		OnStall: a.noteStall, OnOutage: a.noteOutage, OnGivenUp: a.noteGivenUp,
		Reexec: true, // see init
	}
}

// hooksOf returns the callbacks of a site.
func hooksOf(site *config.Site) bridge.SiteHooks {
	h := bridge.SiteHooks{Observe: observe, Identify: identify, RootOf: rootOf(site.Root)}
	for _, value := range site.Env {
		if strings.Contains(value, "{") {
			h.Expand = expand
		}
	}
	return h
}

// use notes that a request is sent here as to an upstream.
func (a *application) use() {
	if now := time.Now().Unix(); a.used.Load() != now {
		a.used.Store(now)
	}
}

// unusedSince reports whether there was none since then.
func (a *application) unusedSince(t time.Time) bool { return a.used.Load() < t.Unix() }

// become has the backend go by cfg, in place.
func (a *application) become(cfg config.Application) error {
	if reflect.DeepEqual(cfg, *a.now.Load()) {
		return nil
	}
	if err := a.backend.Configure(cfg); err != nil {
		return err
	}
	a.now.Store(&cfg)
	return nil
}

// Destruct closes the backend. Its sites are closed. At the end of the process it waits
// for that.
func (a *application) Destruct() error {
	if caddy.Exiting() {
		return a.close()
	}
	applications.closing.Go(func() {
		if err := a.close(); err != nil {
			caddy.Log().Named("sluice").Error("closing an application failed: " + err.Error())
		}
	})
	return nil
}

func (a *application) close() error {
	err := a.backend.Close()
	a.events.running.Wait()
	return err
}

// inUse reports whether a configuration uses a.
func (a *application) inUse() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.leases) > 0
}

// place is where a site is.
type place struct {
	Preset string `json:"preset,omitempty"`
	Mount  string `json:"mount,omitempty"`
	Root   string `json:"root,omitempty"`
}

func placeOf(cfg *config.Config) place { return place{cfg.Preset, cfg.Mount, cfg.Root} }

// sites lists where the sites in front of a are.
func (a *application) sites() (list []place) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range a.leases {
		if at := placeOf(&l.cfg); !slices.Contains(list, at) {
			list = append(list, at)
		}
	}
	return list
}

// nameOf is what an application with that configuration should be called.
func nameOf(cfg *config.Application) string {
	if s := cfg.Spawn; s != nil {
		return s.Command[0] // its arguments may be secret
	}
	return strings.Join(cfg.Backends, " ")
}

// live returns the applications that are in use.
func live() []*application {
	return slices.DeleteFunc(applications.all(), func(a *application) bool { return !a.inUse() })
}

// Interface guard
var _ caddy.Destructor = (*application)(nil)
