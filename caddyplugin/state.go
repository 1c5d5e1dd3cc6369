package caddyplugin

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-proxy/sluice/bridge"
)

// applications holds what outlives a configuration: *application by key.
var applications = caddy.NewUsagePool()

// lingering is how long a bridge that no configuration uses stays open. Caddy cleans a
// configuration up while its last requests are on their way through other handlers.
const lingering = 10 * time.Second

// key is a configuration as JSON: bridges that are the same in it are one.
type key string

// application is a bridge, and who uses it.
type application struct {
	bridge    *bridge.Bridge
	cfg       bridge.Config
	outlets   outlets
	collector prometheus.Collector

	visits *visits
	events eventQueue
}

// lease is a module's share of an application.
type lease struct {
	app *application
	key key
	out *outlet
}

// acquire returns the application that cfg describes: the one that is there, or a new
// one. Until it is released, out is where its log goes, if no other came later.
func acquire(cfg bridge.Config, out *outlet) (*lease, error) {
	return take(cfg, out, func() (caddy.Destructor, error) { return newApplication(cfg, out) })
}

// share is acquire for an application that should be there: errGone says that it is not.
func share(cfg bridge.Config, out *outlet) (*lease, error) {
	return take(cfg, out, func() (caddy.Destructor, error) { return nil, errGone })
}

func take(cfg bridge.Config, out *outlet, otherwise caddy.Constructor) (*lease, error) {
	text, err := json.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	l := &lease{key: key(text), out: out}
	value, _, err := applications.LoadOrNew(l.key, otherwise)
	if err != nil {
		return nil, err
	}
	l.app = value.(*application)
	l.app.outlets.add(out)
	if err := l.app.register(out.registry); err != nil {
		return nil, errors.Join(err, l.release())
	}
	return l, nil
}

// release gives the application back. A lease that is nil was never had.
func (l *lease) release() error {
	if l == nil {
		return nil
	}
	l.app.outlets.remove(l.out)
	_, err := applications.Delete(l.key)
	return err
}

func newApplication(cfg bridge.Config, out *outlet) (*application, error) {
	a := &application{cfg: cfg, visits: newVisits()}
	a.outlets.add(out) // New may have something to say
	defer a.outlets.remove(out)
	cfg.Logger = slog.New(&logHandler{to: &a.outlets})
	cfg.Observe = observe
	cfg.Identify = identify
	cfg.OnStall, cfg.OnOutage, cfg.OnGivenUp = a.noteStall, a.noteOutage, a.noteGivenUp
	if cfg.Spawn != nil {
		spawn := *cfg.Spawn
		spawn.Reexec = true // see init
		cfg.Spawn = &spawn
	}
	for _, value := range cfg.Env {
		if strings.Contains(value, "{") {
			cfg.Expand = expand
		}
	}
	var err error
	if a.bridge, err = bridge.New(cfg); err != nil {
		return nil, err
	}
	a.collector = a.newCollector()
	return a, nil
}

// ServeHTTP answers r.
func (a *application) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.visits.enter()
	defer a.visits.leave()
	a.bridge.ServeHTTP(w, r)
}

// Destruct closes the bridge when the requests in it have ended, and those that the
// configuration had accepted before have come. At the end of the process they all have.
func (a *application) Destruct() error {
	if caddy.Exiting() {
		return a.close()
	}
	time.AfterFunc(lingering, a.drain)
	return nil
}

func (a *application) drain() {
	a.visits.await()
	if err := a.close(); err != nil {
		caddy.Log().Named("sluice").Error("closing a bridge failed: " + err.Error())
	}
}

func (a *application) close() error {
	err := a.bridge.Close()
	a.events.running.Wait()
	return err
}

// name is what an application is called where people read it.
func (a *application) name() string {
	words := slices.Clone(a.cfg.Backends)
	if s := a.cfg.Spawn; s != nil {
		words = append(words, s.Command[0]) // its arguments may be secret
	}
	for _, place := range []string{a.cfg.Mount, a.cfg.Root} {
		if place != "" {
			words = append(words, place)
		}
	}
	return strings.Join(words, " ")
}

// live returns the applications that are in use.
func live() []*application {
	var list []*application
	applications.Range(func(_, value any) bool {
		list = append(list, value.(*application))
		return true
	})
	return list
}

// errGone says that an application was not there any more.
var errGone = errors.New("sluice: application is not in use")

// Interface guard
var _ caddy.Destructor = (*application)(nil)
