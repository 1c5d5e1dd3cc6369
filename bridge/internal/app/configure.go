package app

import (
	"errors"
	"fmt"

	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/events"
	"github.com/sluice-proxy/sluice/bridge/spool"
	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// Change is a configuration of an Application that nothing speaks against. Commit or Cancel must
// be called, once. Other changes may come first: the last to be committed holds.
type Change struct {
	app       *Application
	next      *config.Application
	spool     *spool.Store // nil: the one there is
	processes processChange

	authorizer *Change // nil: there is none
	holds      func()  // commits
}

// Prepare does all of Configure that can fail, and nothing that a request, a connection or a
// process notices. So several Applications can be changed, or none.
func (a *Application) Prepare(cfg config.Application) (*Change, error) {
	a.configuring.Lock()
	defer a.configuring.Unlock()
	next, err := a.next(cfg)
	if err != nil {
		return nil, err
	}
	c := &Change{app: a, next: next}
	if a.settings.Load().Spool != next.Spool {
		if c.spool, err = spool.New(bodies(next.Spool, a.hooks.Logger)); err != nil {
			return nil, err
		}
	}
	if c.authorizer, err = a.Authorizer.prepare(next); err != nil {
		return nil, err
	}
	if c.holds, err = a.Holds.prepare(next); err != nil {
		return nil, err
	}
	c.processes, err = a.prepareProcesses(next)
	return c, err
}

// Commit puts the configuration in force. The gate comes last: it asks the pool what there
// is room for.
func (c *Change) Commit() {
	a := c.app
	a.configuring.Lock()
	defer a.configuring.Unlock()
	a.settings.Store(c.next)
	a.Events.Add(events.Event{Kind: events.Reload, Text: "The settings were changed."})
	if c.spool != nil {
		a.spool.Store(c.spool) // for as long as the bodies that are there take, there are both
	}
	// Prepare has checked all: what fails now does so because the application is being closed.
	_ = a.Pool.Configure(connections(c.next, &a.hooks))
	_ = a.members.set(c.next.Backends)
	c.processes.commit()
	if c.authorizer != nil {
		c.authorizer.Commit()
	}
	c.holds()
	_ = a.Gate.Configure(gate(c.next))
}

// Cancel drops the configuration.
func (c *Change) Cancel() { c.processes.cancel() }

// CanBecome reports what Configure would refuse without trying it: a cfg that is not in
// order, or ErrOtherKind.
func (a *Application) CanBecome(cfg config.Application) error {
	_, err := a.next(cfg)
	return err
}

// next is cfg, completed to take the place of what holds now.
func (a *Application) next(cfg config.Application) (*config.Application, error) {
	if err := Complete(&cfg); err != nil {
		return nil, err
	}
	if err := canFollow(a.settings.Load(), &cfg); err != nil {
		return nil, err
	}
	return &cfg, errors.Join(a.Authorizer.canBecome(&cfg), a.Pool.CanBecome(connections(&cfg, &a.hooks)), a.Gate.CanBecome(gate(&cfg)))
}

// processChange is the part of a Change that is about processes.
type processChange struct{ commit, cancel func() }

// prepareProcesses has the processes get ready for next.
func (a *Application) prepareProcesses(next *config.Application) (processChange, error) {
	none := processChange{func() {}, func() {}}
	if a.processes == nil {
		return none, nil
	}
	commit, cancel, err := a.processes.Prepare(a.group(next))
	if errors.Is(err, supervise.ErrOtherKind) {
		err = errors.Join(ErrOtherKind, err)
	}
	if err != nil {
		return none, fmt.Errorf("spawn: %w", err)
	}
	return processChange{commit, cancel}, nil
}
