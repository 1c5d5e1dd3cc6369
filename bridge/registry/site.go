package registry

import (
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// Site is a bridge.Handler in front of an Application, used by a part of a Configuration.
type Site struct {
	cfg  config.Config
	by   *Configuration
	user *User

	app     *Application
	claim   *claim // nil: the site has no influence on the application's settings
	handler *bridge.Handler

	released sync.Once
	// Registry.mu guards these.
	upgrades *upgrades
	drainNow func() // closes the site when no request is in it; set by release
}

// upgrades is how long the upgraded connections of a site may go on. Sites that replace one another
// share one.
type upgrades struct {
	over chan struct{}
	end  func() // closes over
}

func newUpgrades() *upgrades {
	u := &upgrades{over: make(chan struct{})}
	u.end = sync.OnceFunc(func() { close(u.over) })
	return u
}

// Acquire returns a site in front of the application for cfg, an existing or a new one. If the
// settings of an existing one differ, they change when c takes over; at once if c already runs.
// The processes of a new one are started by Start of c. The application logs to u until Release,
// or until a later site brings another User.
func (c *Configuration) Acquire(cfg config.Config, hooks bridge.SiteHooks, u *User) (*Site, error) {
	s := &Site{cfg: cfg, by: c, user: u, upgrades: newUpgrades()}
	if err := c.registry.acquire(s); err != nil {
		return nil, err
	}
	return s.open(hooks)
}

// acquireUnclaimed returns a site that keeps an application open without a claim on its
// settings.
func (c *Configuration) acquireUnclaimed(app *Application, cfg config.Config, hooks bridge.SiteHooks, u *User) (*Site, error) {
	s := &Site{cfg: cfg, by: c, user: u, upgrades: newUpgrades()}
	if err := c.registry.addUnclaimed(app, s); err != nil {
		return nil, err
	}
	return s.open(hooks)
}

// open makes the handler of a site. If that fails, it undoes acquire or addUnclaimed.
func (s *Site) open(hooks bridge.SiteHooks) (_ *Site, err error) {
	if s.handler, err = s.app.bridged.Handler(s.cfg.Site, hooks); err != nil {
		r := s.by.registry
		r.mu.Lock()
		defer r.mu.Unlock()
		r.withdraw(s)
		r.drop(s)
		return nil, err
	}
	if err := s.app.add(s); err != nil {
		s.Release()
		return nil, err
	}
	return s, nil
}

// Application returns the application that s is in front of.
func (s *Site) Application() *Application { return s.app }

// Handler returns the handler for the site's requests. The caller must not close it.
func (s *Site) Handler() *bridge.Handler { return s.handler }

// Release ends the use of the site. Late requests are still served: the site closes after its grace
// period, when no request is left. Release may be called more than once, and on a nil Site.
func (s *Site) Release() {
	if s != nil {
		s.released.Do(func() { s.release(s.drain) })
	}
}

// ReplaceBy is Release for a site that next replaces: upgraded connections go on until next is released
// in the end, or EndUpgraded. next must be in use. ReplaceBy may not be called concurrently with a
// Release of next.
func (s *Site) ReplaceBy(next *Site) {
	s.released.Do(func() {
		r := s.by.registry
		r.mu.Lock()
		next.upgrades = s.upgrades
		r.mu.Unlock()
		over := s.upgrades.over
		s.release(func() { s.finish(func() error { return s.handler.CloseWhenDone(over) }) })
	})
}

// EndUpgraded ends the upgraded connections of s and of the sites that it has replaced, as soon as
// their grace periods are over.
func (s *Site) EndUpgraded() {
	r := s.by.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	s.upgrades.end()
}

// release has the site closed by drain after its grace period.
func (s *Site) release(drain func()) {
	s.app.remove(s)
	r := s.by.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	r.withdraw(s)
	if r.closed || r.options.Exiting() {
		s.upgrades.end()
		go s.close(s.handler.Close) // the server waits for requests no longer: those that are left end with the application
		r.drop(s)
		return
	}
	s.app.sites[s] = time.AfterFunc(r.options.Grace, drain)
	s.drainNow = drain
}

// drain closes the site when no request is in it.
func (s *Site) drain() {
	s.EndUpgraded()
	s.finish(s.handler.CloseWhenIdle)
}

// finish closes the site by a method of its handler.
func (s *Site) finish(handler func() error) {
	s.close(handler)
	r := s.by.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(s)
}

func (s *Site) close(handler func() error) {
	if err := handler(); err != nil {
		s.app.log.Error("closing a site failed", "application", s.app.name, "error", err.Error(), "advice", "none: it is gone with this process")
	}
}

// describe returns the name of s for errors.
func (s *Site) describe() string {
	text := s.user.Name
	if s.cfg.Mount != "" {
		text += " at " + s.cfg.Mount
	}
	if s.cfg.Root != "" {
		text += " of " + s.cfg.Root
	}
	return text
}
