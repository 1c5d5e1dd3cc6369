package caddyplugin

import (
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
)

// unusedFor is how long an upstream that no request goes to is kept while others come.
// Dynamic upstreams come and go.
const unusedFor = 10 * time.Minute

// upstreams are the applications that one transport sends requests to, by address.
type upstreams struct {
	cfg bridge.Config
	out *outlet

	mu     sync.RWMutex
	leases map[string]*upstream
	closed bool
}

type upstream struct {
	*lease
	used atomic.Int64 // when a request last went there, in Unix time
}

// newUpstreams takes those into use that another transport of the same configuration
// has: the one that this replaces in a reload.
func newUpstreams(cfg bridge.Config, out *outlet) (*upstreams, error) {
	u := &upstreams{cfg: cfg, out: out, leases: make(map[string]*upstream)}
	for _, app := range live() {
		if len(app.cfg.Backends) != 1 {
			continue
		}
		addr := app.cfg.Backends[0]
		same, err := u.wants(app, addr)
		if err != nil {
			return nil, err
		}
		if !same {
			continue
		}
		l, err := share(u.of(addr), out)
		if errors.Is(err, errGone) {
			continue
		}
		if err != nil {
			return nil, errors.Join(err, u.release())
		}
		u.leases[addr] = newUpstream(l)
	}
	return u, nil
}

func newUpstream(l *lease) *upstream {
	up := &upstream{lease: l}
	up.used.Store(time.Now().Unix())
	return up
}

// of is the configuration of the upstream at addr.
func (u *upstreams) of(addr string) bridge.Config {
	cfg := u.cfg
	cfg.Backends = []string{addr}
	return cfg
}

// wants reports whether app is what would be made for addr.
func (u *upstreams) wants(app *application, addr string) (bool, error) {
	theirs, err := json.Marshal(app.cfg)
	if err != nil {
		return false, err
	}
	ours, err := json.Marshal(u.of(addr))
	return string(theirs) == string(ours), err
}

// get returns the application at addr. It is made if it is not there.
func (u *upstreams) get(addr string) (*application, error) {
	u.mu.RLock()
	up := u.leases[addr]
	u.mu.RUnlock()
	if up != nil {
		if now := time.Now().Unix(); up.used.Load() != now {
			up.used.Store(now)
		}
		return up.app, nil
	}
	return u.add(addr)
}

func (u *upstreams) add(addr string) (*application, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if up := u.leases[addr]; up != nil {
		return up.app, nil
	}
	if u.closed {
		return nil, errGone
	}
	l, err := acquire(u.of(addr), u.out)
	if err != nil {
		return nil, err
	}
	u.leases[addr] = newUpstream(l)
	return l.app, u.forget(time.Now().Add(-unusedFor))
}

// forget gives back what was not used since then. u.mu is held.
func (u *upstreams) forget(since time.Time) error {
	var errs []error
	for addr, up := range u.leases {
		if up.used.Load() < since.Unix() && up.app.visits.none() {
			errs = append(errs, up.release())
			delete(u.leases, addr)
		}
	}
	return errors.Join(errs...)
}

// release gives all back. Requests that still come find those that are there.
func (u *upstreams) release() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return nil
	}
	u.closed = true
	var errs []error
	for _, up := range u.leases {
		errs = append(errs, up.release())
	}
	return errors.Join(errs...)
}
