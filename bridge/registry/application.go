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

// Application is a bridge.Application with the sites that use it.
type Application struct {
	bridged *bridge.Application
	name    string
	log     *slog.Logger
	users   users
	events  eventQueue

	settings atomic.Pointer[config.Application] // the settings in force, as written

	// Registry.mu guards these.
	identified struct { // the identity of the settings, which is looked at for each site of a configuration
		settings *config.Application
		identity string
	}
	sites   map[*opened]*time.Timer // handlers that are not closed; the timer of the grace period, nil before it begins
	claims  []*claim
	started bool // bridged.Start has succeeded

	lastRequest atomic.Int64 // when Upstreams last chose this application, in Unix seconds; 0: never

	mu         sync.Mutex
	inUseSites []*Site                   // sites that are not released
	shown      map[*Configuration]func() // for each configuration with a site in use: the function that hides a from it
}

// newApplication returns an application with the settings of s.
func newApplication(name string, s *Site, o Options) (*Application, error) {
	a := &Application{name: name, sites: make(map[*opened]*time.Timer), shown: make(map[*Configuration]func())}
	a.log = slog.New(&logHandler{users: &a.users, process: o.Log})
	a.settings.Store(&s.cfg.Application)
	a.users.add(s.user) // NewApplication may log
	defer a.users.remove(s.user)
	var err error
	a.bridged, err = bridge.NewApplication(s.cfg.Application, bridge.ApplicationHooks{
		Logger: a.log, Reexec: o.Reexec,
		OnStall: a.onStall, OnOutage: a.onOutage, OnGivenUp: a.onGivenUp,
	})
	return a, err
}

// Name returns the application's name for logs and metrics. It is unique among the applications
// of the Registry, and does not change when the settings do.
func (a *Application) Name() string { return a.name }

// Application returns the bridge.Application. The caller must not close it.
func (a *Application) Application() *bridge.Application { return a.bridged }

// Settings returns the settings in force, as written. The caller must not change them.
func (a *Application) Settings() *config.Application { return a.settings.Load() }

// Sites returns the configurations of the sites in use, the oldest first.
func (a *Application) Sites() (list []config.Config) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.inUseSites {
		list = append(list, s.cfg)
	}
	return list
}

// identity returns the Identity of the settings in force. Registry.mu is held.
func (a *Application) identity() string {
	if now := a.settings.Load(); a.identified.settings != now {
		a.identified.settings, a.identified.identity = now, now.Identity()
	}
	return a.identified.identity
}

// inUse reports whether a configuration uses a.
func (a *Application) inUse() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.inUseSites) > 0
}

// add adds s to the sites in use, and shows a in the configuration of s.
func (a *Application) add(s *Site) error {
	a.users.add(s.user)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.inUseSites = append(a.inUseSites, s)
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
	a.inUseSites = slices.DeleteFunc(a.inUseSites, func(other *Site) bool { return other == s })
	if hide := a.shown[s.by]; hide != nil && !slices.ContainsFunc(a.inUseSites, func(other *Site) bool { return other.by == s.by }) {
		hide()
		delete(a.shown, s.by)
	}
}

// apply changes the settings to cfg, in place.
func (a *Application) apply(cfg *config.Application) error {
	if reflect.DeepEqual(cfg, a.settings.Load()) {
		return nil
	}
	if err := a.bridged.Configure(*cfg); err != nil {
		return err
	}
	a.settings.Store(new(*cfg))
	return nil
}

// touch notes that Upstreams has chosen a for a request.
func (a *Application) touch() {
	if now := time.Now().Unix(); a.lastRequest.Load() != now {
		a.lastRequest.Store(now)
	}
}

// unusedSince reports whether Upstreams has not chosen a since t.
func (a *Application) unusedSince(t time.Time) bool { return a.lastRequest.Load() < t.Unix() }

// endGrace ends the grace period of all released sites. They then wait for their requests
// only.
func (a *Application) endGrace() {
	for o, grace := range a.sites {
		if grace != nil && grace.Stop() {
			go o.drainNow()
		}
	}
}

// close closes the application.
func (a *Application) close() {
	if err := a.bridged.Close(); err != nil {
		a.log.Error("closing an application failed", "application", a.name, "error", err.Error(), "advice", "none: it is gone with this process")
	}
	a.events.running.Wait()
}
