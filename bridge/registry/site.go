package registry

import (
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// gracePeriod is how long a site that no configuration uses stays open, and its application
// with it. A server may release a configuration while its last requests are on their way
// through other handlers, as Caddy does.
const gracePeriod = 10 * time.Second

// Site is what a part of a configuration has of an application.
type Site struct {
	cfg  config.Config
	by   *Configuration
	user *User

	app    *Application
	claim  *claim // nil: it has no say in what the application is
	bridge *bridge.Handler

	released sync.Once
}

// Acquire returns a site in front of the application that cfg means: the one that is there, or
// a new one. If it is there and cfg has it otherwise, it changes when c takes over, and at once
// if c runs. Processes of a new one are started by Start of c. Until Release, u is where it logs,
// unless another comes later.
func (c *Configuration) Acquire(cfg config.Config, hooks bridge.SiteHooks, u *User) (*Site, error) {
	s := &Site{cfg: cfg, by: c, user: u}
	if err := c.registry.acquire(s); err != nil {
		return nil, err
	}
	return s.open(hooks)
}

// hold returns a site in front of an application, and has no say in what that is: it only
// keeps it.
func (c *Configuration) hold(app *Application, cfg config.Config, hooks bridge.SiteHooks, u *User) (*Site, error) {
	s := &Site{cfg: cfg, by: c, user: u}
	if err := c.registry.keep(app, s); err != nil {
		return nil, err
	}
	return s.open(hooks)
}

// open opens the bridge of a site that was acquired or kept. If that fails, it is given back.
func (s *Site) open(hooks bridge.SiteHooks) (_ *Site, err error) {
	if s.bridge, err = s.app.backend.Handler(s.cfg.Site, hooks); err != nil {
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

// Bridge answers the site's requests. It is not the caller's to close.
func (s *Site) Bridge() *bridge.Handler { return s.bridge }

// Release gives the site back. Requests that are late are still served: it closes when it has
// none after its grace period. A site that is nil was never had; more than one call does
// nothing.
func (s *Site) Release() {
	if s != nil {
		s.released.Do(s.release)
	}
}

func (s *Site) release() {
	s.app.remove(s)
	r := s.by.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	r.withdraw(s)
	if r.closed || r.options.Exiting() {
		go s.close(s.bridge.Close) // the server has waited for requests as long as it wants to: those that are left end when the backend is closed
		r.drop(s)
		return
	}
	s.app.sites[s] = time.AfterFunc(gracePeriod, s.drain)
}

// drain closes the site when the requests in it have ended, and those that the configuration
// had accepted before have come.
func (s *Site) drain() {
	s.close(s.bridge.CloseWhenIdle)
	r := s.by.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(s)
}

func (s *Site) close(bridge func() error) {
	if err := bridge(); err != nil {
		s.app.log.Error("closing a site failed", "application", s.app.name, "error", err.Error())
	}
}

// describe names s in an error.
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
