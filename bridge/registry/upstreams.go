package registry

import (
	"errors"
	"reflect"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// keepUnusedFor is how long an upstream without requests is kept: dynamic upstreams come and go.
const keepUnusedFor = 10 * time.Minute

// Upstreams is the sites of one proxy by address, each with an application of its own.
type Upstreams struct {
	by    *Configuration
	cfg   config.Config
	hooks bridge.SiteHooks
	user  *User

	mu        sync.RWMutex
	sites     map[string]*Site // a site without a claim keeps the application until the first request shows that it is used
	released  bool
	keepTimer *time.Timer // releases the sites without a claim; nil if there are none
}

// NewUpstreams keeps the applications of existing Upstreams with the same settings, which it may
// replace in a reload. cfg has no backends.
func (c *Configuration) NewUpstreams(cfg config.Config, hooks bridge.SiteHooks, user *User) (*Upstreams, error) {
	u := &Upstreams{by: c, cfg: cfg, hooks: hooks, user: user, sites: make(map[string]*Site)}
	for _, app := range c.registry.Applications() {
		now := app.settings.Load()
		if app.unusedSince(time.Now().Add(-keepUnusedFor)) || len(now.Backends) != 1 || !reflect.DeepEqual(*now, u.configFor(now.Backends[0]).Application) {
			continue
		}
		s, err := c.acquireUnclaimed(app, u.configFor(now.Backends[0]), hooks, user)
		if errors.Is(err, errNotInUse) {
			continue
		}
		if err != nil {
			u.Release()
			return nil, err
		}
		u.sites[now.Backends[0]] = s
	}
	if len(u.sites) > 0 {
		u.keepTimer = time.AfterFunc(keepUnusedFor, u.releaseUnclaimed)
	}
	return u, nil
}

// releaseUnclaimed releases the sites that have had no request.
func (u *Upstreams) releaseUnclaimed() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.released {
		return
	}
	for addr, s := range u.sites {
		if s.claim == nil {
			delete(u.sites, addr)
			s.Release()
		}
	}
}

// configFor returns the configuration of the upstream at addr.
func (u *Upstreams) configFor(addr string) config.Config {
	cfg := u.cfg
	cfg.Backends = []string{addr}
	return cfg
}

// Get returns the site for a request to addr, with a new application if there is none.
func (u *Upstreams) Get(addr string) (*Site, error) {
	u.mu.RLock()
	s := u.sites[addr]
	u.mu.RUnlock()
	if s == nil || s.claim == nil {
		return u.add(addr)
	}
	s.app.touch()
	return s, nil
}

func (u *Upstreams) add(addr string) (*Site, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	kept := u.sites[addr]
	if kept != nil && (kept.claim != nil || u.released) {
		return kept, nil
	}
	s, err := u.by.Acquire(u.configFor(addr), u.hooks, u.user)
	if err != nil {
		return nil, err
	}
	if u.released { // a late request of the previous configuration
		s.Release()
		return s, nil
	}
	s.app.touch()
	u.sites[addr] = s
	kept.Release()
	u.releaseUnused(time.Now().Add(-keepUnusedFor))
	return s, nil
}

// releaseUnused releases the sites that were not used since then. u.mu is held.
func (u *Upstreams) releaseUnused(since time.Time) {
	for addr, s := range u.sites {
		if s.app.unusedSince(since) && s.handler.InFlight() == 0 {
			s.Release()
			delete(u.sites, addr)
		}
	}
}

// Release releases all sites; see Site.Release. It may be called more than once, and on nil
// Upstreams.
func (u *Upstreams) Release() {
	if u == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.released {
		return
	}
	u.released = true
	if u.keepTimer != nil {
		u.keepTimer.Stop()
	}
	for _, s := range u.sites {
		s.Release()
	}
}
