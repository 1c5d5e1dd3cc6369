package caddyplugin

import (
	"errors"
	"reflect"
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

// upstream is an application that requests go to. One without a claim is kept for the
// first of them: whether this transport has that upstream is not known before.
type upstream struct {
	*lease
	used atomic.Int64 // when a request last went there, in Unix time
}

// newUpstreams keeps those that a transport with the same settings has: the one that this
// replaces in a reload.
func newUpstreams(cfg bridge.Config, out *outlet) (*upstreams, error) {
	u := &upstreams{cfg: cfg, out: out, leases: make(map[string]*upstream)}
	for _, app := range live() {
		now := app.now.Load()
		if len(now.Backends) != 1 || !reflect.DeepEqual(*now, u.of(now.Backends[0])) {
			continue
		}
		l, err := hold(app, *now, out)
		if errors.Is(err, errGone) {
			continue
		}
		if err != nil {
			return nil, errors.Join(err, u.release())
		}
		u.leases[now.Backends[0]] = newUpstream(l)
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

// get returns the application at addr. It is made if it is not there.
func (u *upstreams) get(addr string) (*lease, error) {
	u.mu.RLock()
	up := u.leases[addr]
	u.mu.RUnlock()
	if up == nil || up.claim == nil {
		return u.add(addr)
	}
	if now := time.Now().Unix(); up.used.Load() != now {
		up.used.Store(now)
	}
	return up.lease, nil
}

func (u *upstreams) add(addr string) (*lease, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	kept := u.leases[addr]
	if kept != nil && (kept.claim != nil || u.closed) {
		return kept.lease, nil
	}
	l, err := acquire(u.of(addr), u.out)
	if err != nil {
		return nil, err
	}
	if u.closed { // a request that the old configuration had accepted
		return l, l.release()
	}
	u.leases[addr] = newUpstream(l)
	if kept != nil {
		err = kept.release()
	}
	return l, errors.Join(err, u.forget(time.Now().Add(-unusedFor)))
}

// forget gives back what was not used since then. u.mu is held.
func (u *upstreams) forget(since time.Time) error {
	var errs []error
	for addr, up := range u.leases {
		if up.used.Load() < since.Unix() && up.visits.none() {
			errs = append(errs, up.release())
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
	var errs []error
	for _, up := range u.leases {
		errs = append(errs, up.release())
	}
	return errors.Join(errs...)
}
