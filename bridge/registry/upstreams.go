package registry

import (
	"errors"
	"reflect"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// unusedFor is how long an upstream that no request goes to is kept while others come.
// Dynamic upstreams come and go.
const unusedFor = 10 * time.Minute

// Upstreams are the sites that one proxy sends requests to, by address: one application each.
type Upstreams struct {
	by    *Configuration
	cfg   config.Config
	hooks bridge.SiteHooks
	user  *User

	mu       sync.RWMutex
	sites    map[string]*Site // one without a claim is kept for the first request: whether there will be any is not known before
	released bool
	unkeep   *time.Timer // gives those back that none has gone to; nil: none was kept
}

// NewUpstreams keeps those that upstreams with the same settings have: those that these
// replace in a reload. Cfg has no backends.
func (c *Configuration) NewUpstreams(cfg config.Config, hooks bridge.SiteHooks, user *User) (*Upstreams, error) {
	u := &Upstreams{by: c, cfg: cfg, hooks: hooks, user: user, sites: make(map[string]*Site)}
	for _, app := range c.registry.Applications() {
		now := app.settings.Load()
		if app.unusedSince(time.Now().Add(-unusedFor)) || len(now.Backends) != 1 || !reflect.DeepEqual(*now, u.at(now.Backends[0]).Application) {
			continue
		}
		s, err := c.hold(app, u.at(now.Backends[0]), hooks, user)
		if errors.Is(err, errGone) {
			continue
		}
		if err != nil {
			u.Release()
			return nil, err
		}
		u.sites[now.Backends[0]] = s
	}
	if len(u.sites) > 0 {
		u.unkeep = time.AfterFunc(unusedFor, u.giveBack)
	}
	return u, nil
}

// giveBack gives those back that were kept, and that no request has gone to.
func (u *Upstreams) giveBack() {
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

// at is the configuration of the upstream at addr.
func (u *Upstreams) at(addr string) config.Config {
	cfg := u.cfg
	cfg.Backends = []string{addr}
	return cfg
}

// Get returns the site for a request to addr. Its application is made if it is not there.
func (u *Upstreams) Get(addr string) (*Site, error) {
	u.mu.RLock()
	s := u.sites[addr]
	u.mu.RUnlock()
	if s == nil || s.claim == nil {
		return u.add(addr)
	}
	s.app.request()
	return s, nil
}

func (u *Upstreams) add(addr string) (*Site, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	kept := u.sites[addr]
	if kept != nil && (kept.claim != nil || u.released) {
		return kept, nil
	}
	s, err := u.by.Acquire(u.at(addr), u.hooks, u.user)
	if err != nil {
		return nil, err
	}
	if u.released { // a request that the old configuration had accepted
		s.Release()
		return s, nil
	}
	s.app.request()
	u.sites[addr] = s
	kept.Release()
	u.forget(time.Now().Add(-unusedFor))
	return s, nil
}

// forget gives back what was not used since then. u.mu is held.
func (u *Upstreams) forget(since time.Time) {
	for addr, s := range u.sites {
		if s.app.unusedSince(since) && s.bridge.InFlight() == 0 {
			s.Release()
			delete(u.sites, addr)
		}
	}
}

// Release gives all back. Those that requests still ask for are served for a grace period. More
// than one call does nothing, and upstreams that are nil were never had.
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
	if u.unkeep != nil {
		u.unkeep.Stop()
	}
	for _, s := range u.sites {
		s.Release()
	}
}
