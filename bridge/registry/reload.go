package registry

import (
	"context"
	"reflect"
	"slices"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// A configuration takes effect in two steps. Start prepares everything that can fail, and starts
// new applications. The changes of existing applications, and of their processes, are committed
// when nothing can fail any more: when the running configuration is stopped, because all of the new
// one has started. Until then, the existing applications are not touched.

// pendingReload is a configuration that is ready to follow the running one. Registry.mu is held in
// all its methods.
type pendingReload struct {
	by      *Configuration
	changes []change
}

// change is a prepared change of an application.
type change struct {
	app    *Application
	cfg    config.Application
	change *bridge.Change
}

func (c change) commit() {
	c.change.Commit()
	c.app.settings.Store(&c.cfg)
}

// Start prepares the changes of the configuration, and starts new processes. If another
// configuration runs, the changes are committed when that one is stopped; otherwise at once. If
// Start fails, nothing has changed. If ctx ends, Start ends the processes that it has started, and fails.
func (c *Configuration) Start(ctx context.Context) error {
	r := c.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	r.cancel()
	next, err := r.prepare(c)
	if err == nil {
		err = next.startNew(ctx, r.applications())
	}
	if err != nil {
		next.cancel()
		return err
	}
	r.pending = next
	if r.running == nil {
		r.commit()
	}
	return nil
}

// Stop commits the changes of the configuration that has started meanwhile. If c itself has
// started and not taken over, Stop undoes Start.
func (c *Configuration) Stop() {
	r := c.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.pending != nil && r.pending.by == c:
		r.cancel()
	case r.running == c && r.pending != nil:
		r.commit()
	case r.running == c:
		r.running = nil
	}
}

// ApplicationError says why Start has failed.
type ApplicationError struct {
	Application *Application
	Err         error
}

// Error begins with the application's name.
func (e *ApplicationError) Error() string { return e.Application.name + ": " + e.Err.Error() }

// Unwrap returns the reason.
func (e *ApplicationError) Unwrap() error { return e.Err }

// prepare prepares the changes of all applications.
func (r *Registry) prepare(by *Configuration) (*pendingReload, error) {
	next := &pendingReload{by: by}
	for _, app := range r.applications() {
		c := app.inForce(by)
		if c == nil || reflect.DeepEqual(&c.cfg, app.settings.Load()) {
			continue
		}
		prepared, err := app.bridged.Prepare(c.cfg)
		if err != nil {
			return next, &ApplicationError{app, err}
		}
		next.changes = append(next.changes, change{app, c.cfg, prepared})
	}
	return next, nil
}

// startNew starts the processes of new applications. Their changes are committed before, because
// nothing uses them yet.
func (n *pendingReload) startNew(ctx context.Context, all []*Application) error {
	for _, app := range all {
		if app.claimOf(n.by) == nil || app.started || !app.bridged.Spawned() {
			continue
		}
		if i := slices.IndexFunc(n.changes, func(c change) bool { return c.app == app }); i >= 0 {
			n.changes[i].commit()
			n.changes = slices.Delete(n.changes, i, i+1)
		}
		if err := app.bridged.Start(ctx); err != nil {
			return &ApplicationError{app, err}
		}
		app.started = true
	}
	return nil
}

func (n *pendingReload) cancel() {
	for _, c := range n.changes {
		c.change.Cancel()
	}
}

// commit makes the pending configuration the running one.
func (r *Registry) commit() {
	next := r.pending
	r.running, r.pending = next.by, nil
	next.by.runs = true
	for _, c := range next.changes {
		c.commit()
	}
	for _, app := range r.applications() {
		app.applyOrLog() // claims that were added after prepare
		if app.claimOf(next.by) != nil {
			app.startUnspawned()
		}
	}
}

// startUnspawned starts an application that runs already, if that was not done yet: it takes part in its
// fleet.
func (a *Application) startUnspawned() {
	if a.started || a.bridged.Spawned() {
		return
	}
	_ = a.bridged.Start(context.Background()) // only a command can fail to start
	a.started = true
}

// cancel drops the pending configuration.
func (r *Registry) cancel() {
	if r.pending != nil {
		r.pending.cancel()
		r.pending = nil
	}
}
