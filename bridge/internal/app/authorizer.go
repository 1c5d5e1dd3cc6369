package app

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/internal/exchange"
)

// Authorizer is the authorizer of an application: an Application of its own, with a gate and a
// pool, but without sites and processes. The application in front of which it is asked owns it,
// changes it and closes it.
type Authorizer struct {
	*Application
	guarded *Application // whose requests it is asked about

	consents                exchange.Consents
	granted, denied, failed atomic.Uint64
}

var _ exchange.Authorizer = (*Authorizer)(nil)

// newAuthorizer returns the authorizer of guarded, whose configuration is cfg, nil if there is
// none. cfg is complete.
func newAuthorizer(guarded *Application, cfg *config.Application, hooks Hooks) (*Authorizer, error) {
	if cfg.Authorizer == nil {
		return nil, nil
	}
	a, err := New(authorizer(cfg), Hooks{
		Logger: hooks.Logger.With("authorizer", cfg.Authorizer.Address), Dial: hooks.Dial, Unread: hooks.Unread,
		OnOutage: guarded.noteAuthorizer,
	})
	if err != nil {
		return nil, fmt.Errorf("authorizer: %w", err)
	}
	return &Authorizer{Application: a, guarded: guarded}, nil
}

// authorizer is the configuration of the authorizer of an application that has one. All questions
// are of one kind, so they wait in one queue: there are no slow ones that others must be protected
// from.
func authorizer(cfg *config.Application) config.Application {
	a, patience, timeouts := cfg.Authorizer, cfg.Timeouts.Authorizer, cfg.Timeouts
	if a.SpeaksHTTP() { // its servers close unused connections sooner, see timeouts.idle
		timeouts.Idle = min(timeouts.Idle, config.Duration(time.Second))
	}
	backend, _ := a.Backend()
	return config.Application{
		Backends: []string{backend}, Workers: a.Workers, Multiplex: config.Off, Lanes: config.Off,
		Queue:    config.Queue{Size: authorizerQueue * a.Workers, Timeout: patience},
		Timeouts: timeouts,
	}
}

// authorizerQueue is how many requests may wait for each worker of an authorizer. Their clients have
// not shown yet that they may ask for anything.
const authorizerQueue = 16

// prepare prepares a change, as Application.Prepare does. Nil has nothing to change.
func (a *Authorizer) prepare(cfg *config.Application) (*Change, error) {
	if a == nil {
		return nil, nil
	}
	c, err := a.Prepare(authorizer(cfg))
	if err != nil {
		return nil, fmt.Errorf("authorizer: %w", err)
	}
	return c, nil
}

// canBecome is CanBecome for the authorizer of cfg.
func (a *Authorizer) canBecome(cfg *config.Application) error {
	if a == nil {
		return nil
	}
	if err := a.CanBecome(authorizer(cfg)); err != nil {
		return fmt.Errorf("authorizer: %w", err)
	}
	return nil
}

// Target implements exchange.Authorizer.
func (a *Authorizer) Target() string {
	_, target := a.guarded.Settings().Authorizer.Backend()
	return target
}

// Consents implements exchange.Authorizer.
func (a *Authorizer) Consents() *exchange.Consents { return &a.consents }

// Count implements exchange.Authorizer.
func (a *Authorizer) Count(d exchange.Decision) {
	switch d {
	case exchange.Granted:
		a.granted.Add(1)
	case exchange.Denied:
		a.denied.Add(1)
	default:
		a.failed.Add(1)
	}
}

// Decisions returns how often a request was let pass, was denied, or could not be decided about.
func (a *Authorizer) Decisions() (granted, denied, failed uint64) {
	return a.granted.Load(), a.denied.Load(), a.failed.Load()
}
