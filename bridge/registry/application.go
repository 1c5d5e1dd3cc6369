package registry

import (
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// Application is a backend, and who uses it.
type Application struct {
	backend *bridge.Application
	name    string
	log     *slog.Logger
	users   users
	events  queue

	settings atomic.Pointer[config.Application] // what is in force, as it was written

	// Registry.mu guards these.
	sites   map[*Site]*time.Timer // those that are not closed, and the end of their grace period, if it has begun
	claims  []*claim
	started bool // the processes were started, if there are to be any

	requested atomic.Int64 // when a request was last sent here as to an upstream, in Unix time; 0: never

	mu    sync.Mutex
	used  []*Site                   // those that are not released
	shown map[*Configuration]func() // those that have one in use; what hides a from them
}

// newApplication opens the backend that s wants.
func newApplication(name string, s *Site, o Options) (*Application, error) {
	a := &Application{name: name, sites: make(map[*Site]*time.Timer), shown: make(map[*Configuration]func())}
	a.log = slog.New(&logHandler{users: &a.users, process: o.Log})
	a.settings.Store(&s.cfg.Application)
	a.users.add(s.user) // NewApplication may have something to say
	defer a.users.remove(s.user)
	var err error
	a.backend, err = bridge.NewApplication(s.cfg.Application, bridge.ApplicationHooks{
		Logger: a.log, Reexec: o.Reexec,
		OnStall: a.onStall, OnOutage: a.onOutage, OnGivenUp: a.onGivenUp,
	})
	return a, err
}

// Name is what the application is called where people read it. No other is called so while it
// is there, and it keeps the name, whatever becomes of it.
func (a *Application) Name() string { return a.name }

// Backend is what the application is. It is not the caller's to close.
func (a *Application) Backend() *bridge.Application { return a.backend }

// Settings are those in force, as they were written. They must not be changed.
func (a *Application) Settings() *config.Application { return a.settings.Load() }

// Sites are the configurations of those in use, the oldest first.
func (a *Application) Sites() (list []config.Config) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.used {
		list = append(list, s.cfg)
	}
	return list
}

// inUse reports whether a configuration uses a.
func (a *Application) inUse() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.used) > 0
}

// add has s in use, and shows a in its configuration.
func (a *Application) add(s *Site) error {
	a.users.add(s.user)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used = append(a.used, s)
	if a.shown[s.by] != nil {
		return nil
	}
	hide, err := s.by.show(a)
	if err == nil {
		a.shown[s.by] = hide
	}
	return err
}

// remove undoes add.
func (a *Application) remove(s *Site) {
	a.users.remove(s.user)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used = slices.DeleteFunc(a.used, func(other *Site) bool { return other == s })
	if hide := a.shown[s.by]; hide != nil && !slices.ContainsFunc(a.used, func(other *Site) bool { return other.by == s.by }) {
		hide()
		delete(a.shown, s.by)
	}
}

// become has the backend go by cfg, in place.
func (a *Application) become(cfg config.Application) error {
	if reflect.DeepEqual(cfg, *a.settings.Load()) {
		return nil
	}
	if err := a.backend.Configure(cfg); err != nil {
		return err
	}
	a.settings.Store(&cfg)
	return nil
}

// request notes that a request is sent here as to an upstream.
func (a *Application) request() {
	if now := time.Now().Unix(); a.requested.Load() != now {
		a.requested.Store(now)
	}
}

// unusedSince reports whether there was none since then.
func (a *Application) unusedSince(t time.Time) bool { return a.requested.Load() < t.Unix() }

// endGrace ends the grace period of all sites that are released: they wait for their requests
// alone.
func (a *Application) endGrace() {
	for s, grace := range a.sites {
		if grace != nil && grace.Stop() {
			go s.drain()
		}
	}
}

// close closes the backend.
func (a *Application) close() {
	if err := a.backend.Close(); err != nil {
		a.log.Error("closing an application failed", "application", a.name, "error", err.Error())
	}
	a.events.running.Wait()
}
