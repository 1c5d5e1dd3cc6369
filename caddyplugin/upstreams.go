package caddyplugin

import (
	"errors"
	"reflect"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// unusedFor is how long an upstream that no request goes to is kept while others come.
// Dynamic upstreams come and go.
const unusedFor = 10 * time.Minute

// upstreams are the applications that one transport sends requests to, by address.
type upstreams struct {
	cfg config.Config
	out *outlet

	mu     sync.RWMutex
	leases map[string]*lease // one without a claim is kept for the first request: whether there will be any is not known before
	closed bool
	unkeep *time.Timer // gives those back that none has gone to
}

// newUpstreams keeps those that a transport with the same settings has: the one that this
// replaces in a reload.
func newUpstreams(cfg config.Config, out *outlet) (*upstreams, error) {
	u := &upstreams{cfg: cfg, out: out, leases: make(map[string]*lease)}
	for _, app := range live() {
		now := app.now.Load()
		if app.unusedSince(time.Now().Add(-unusedFor)) || len(now.Backends) != 1 || !reflect.DeepEqual(*now, u.of(now.Backends[0]).Application) {
			continue
		}
		l, err := hold(app, u.of(now.Backends[0]), out)
		if errors.Is(err, errGone) {
			continue
		}
		if err != nil {
			return nil, errors.Join(err, u.release())
		}
		u.leases[now.Backends[0]] = l
	}
	if len(u.leases) > 0 {
		u.unkeep = time.AfterFunc(unusedFor, u.giveBack)
	}
	return u, nil
}

// giveBack gives those back that were kept, and that no request has gone to.
func (u *upstreams) giveBack() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for addr, l := range u.leases {
		if u.closed || l.claim != nil {
			continue
		}
		delete(u.leases, addr)
		if err := l.release(); err != nil {
			caddy.Log().Named("sluice").Error("giving up the upstream " + addr + " failed: " + err.Error())
		}
	}
}

// of is the configuration of the upstream at addr.
func (u *upstreams) of(addr string) config.Config {
	cfg := u.cfg
	cfg.Backends = []string{addr}
	return cfg
}

// get returns the application at addr. It is made if it is not there.
func (u *upstreams) get(addr string) (*lease, error) {
	u.mu.RLock()
	l := u.leases[addr]
	u.mu.RUnlock()
	if l == nil || l.claim == nil {
		return u.add(addr)
	}
	l.app.use()
	return l, nil
}

func (u *upstreams) add(addr string) (*lease, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	kept := u.leases[addr]
	if kept != nil && (kept.claim != nil || u.closed) {
		return kept, nil
	}
	l, err := acquire(u.of(addr), u.out)
	if err != nil {
		return nil, err
	}
	if u.closed { // a request that the old configuration had accepted
		return l, l.release()
	}
	l.app.use()
	u.leases[addr] = l
	if kept != nil {
		err = kept.release()
	}
	return l, errors.Join(err, u.forget(time.Now().Add(-unusedFor)))
}

// forget gives back what was not used since then. u.mu is held.
func (u *upstreams) forget(since time.Time) error {
	var errs []error
	for addr, l := range u.leases {
		if l.app.unusedSince(since) && l.site.InFlight() == 0 {
			errs = append(errs, l.release())
			delete(u.leases, addr)
		}
	}
	return errors.Join(errs...)
}

// release gives all back. Those that requests still ask for linger.
func (u *upstreams) release() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return nil
	}
	u.closed = true
	if u.unkeep != nil {
		u.unkeep.Stop()
	}
	var errs []error
	for _, l := range u.leases {
		errs = append(errs, l.release())
	}
	return errors.Join(errs...)
}
