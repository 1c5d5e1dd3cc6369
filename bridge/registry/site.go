package registry

import (
	"errors"
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

	app   *Application
	claim *claim // nil: the site has no influence on the application's settings
	*opened

	released sync.Once
}

// opened is the handler of a Site, or of several: those of successive Configurations that keep it.
type opened struct {
	handler *bridge.Handler

	// Registry.mu guards these.
	sites    int    // that have it and are not released
	drainNow func() // closes the handler when no request is in it; set when the last site is released
}

// Acquire returns a site in front of the application for cfg, an existing or a new one. If the
// settings of an existing one differ, they change when c takes over; at once if c already runs.
// The processes of a new one are started by Start of c. The application logs to u until Release,
// or until a later site brings another User.
func (c *Configuration) Acquire(cfg config.Config, hooks bridge.SiteHooks, u *User) (*Site, error) {
	s := &Site{cfg: cfg, by: c, user: u}
	if err := c.registry.acquire(s, nil); err != nil {
		return nil, err
	}
	return s.open(hooks)
}

// Keep is Acquire for a site that goes on as former, a site of another Configuration with the same
// settings and hooks: it has the Handler of former, with the requests and the upgraded connections in it.
// The error is ErrCannotKeep if it needs another one.
func (c *Configuration) Keep(former *Site, cfg config.Config, u *User) (*Site, error) {
	s := &Site{cfg: cfg, by: c, user: u}
	if err := c.registry.acquire(s, former); err != nil {
		return nil, err
	}
	return s.use()
}

// ErrCannotKeep says that a site is in front of another application than its former one, or that the
// former one is closed.
var ErrCannotKeep = errors.New("the site needs a handler of its own")

// acquireUnclaimed returns a site that keeps an application open without a claim on its
// settings.
func (c *Configuration) acquireUnclaimed(app *Application, cfg config.Config, hooks bridge.SiteHooks, u *User) (*Site, error) {
	s := &Site{cfg: cfg, by: c, user: u}
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
		r.undo(s)
		return nil, err
	}
	return s.use()
}

// use has the application used by s, which is open.
func (s *Site) use() (*Site, error) {
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

// Release ends the use of the site. Late requests are still served: unless another site has kept the
// handler, it closes after its grace period, when no request is left. Release may be called more than
// once, and on a nil Site.
func (s *Site) Release() {
	if s != nil {
		s.released.Do(s.release)
	}
}

// release has the handler closed after its grace period, if no other site has it.
func (s *Site) release() {
	s.app.remove(s)
	r, o, app := s.by.registry, s.opened, s.app
	r.mu.Lock()
	defer r.mu.Unlock()
	r.withdraw(s)
	if o.sites--; o.sites > 0 {
		return
	}
	if r.closed || r.options.Exiting() {
		go app.closeHandler(o.handler.Close) // the server waits for requests no longer: those that are left end with the application
		r.drop(app, o)
		return
	}
	o.drainNow = func() {
		app.closeHandler(o.handler.CloseWhenIdle)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.drop(app, o)
	}
	app.sites[o] = time.AfterFunc(r.options.Grace, o.drainNow)
}

// closeHandler closes a handler by one of its methods.
func (a *Application) closeHandler(by func() error) {
	if err := by(); err != nil {
		a.log.Error("closing a site failed", "application", a.name, "error", err.Error(), "advice", "none: it is gone with this process")
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
