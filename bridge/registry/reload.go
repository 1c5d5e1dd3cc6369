package registry

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// A configuration is carried out in two steps. When it starts, everything that can fail is
// prepared, and what is new is started; that an application becomes another, with other
// processes perhaps, waits until nothing can fail any more: the configuration that runs is
// stopped when all of the new one has started. If it does not come to that, the applications
// have not noticed.

// reload is a configuration that is ready to follow the one that runs. Registry.mu is held
// in all that it does.
type reload struct {
	by      *Configuration
	changes []change
}

// change is what an application is to become.
type change struct {
	app    *Application
	cfg    config.Application
	change *bridge.Change
}

func (c change) commit() {
	c.change.Commit()
	c.app.settings.Store(&c.cfg)
}

// Start makes everything ready for what the configuration wants, and starts new processes. If
// another configuration runs, applications change when that is stopped; else at once. If Start
// fails, all is as before. If ctx ends, so does the wait for processes that have just been
// started, and Start fails.
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
		err = next.startNew(ctx, r.all())
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

// Stop has the applications become what the configuration wants that has started meanwhile. Of
// a configuration that has not taken over, it undoes Start.
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

// prepare has every application get ready for what it will be.
func (r *Registry) prepare(by *Configuration) (*reload, error) {
	next := &reload{by: by}
	for _, app := range r.all() {
		c := app.inForce(by)
		if c == nil || reflect.DeepEqual(c.cfg, *app.settings.Load()) {
			continue
		}
		prepared, err := app.backend.Prepare(c.cfg)
		if err != nil {
			return next, fmt.Errorf("%s: %w", app.name, err)
		}
		next.changes = append(next.changes, change{app, c.cfg, prepared})
	}
	return next, nil
}

// startNew starts the processes of those that have none yet, and nobody notices what they
// become before.
func (n *reload) startNew(ctx context.Context, all []*Application) error {
	for _, app := range all {
		if app.claimOf(n.by) == nil || app.started || !app.backend.Spawned() {
			continue
		}
		if i := slices.IndexFunc(n.changes, func(c change) bool { return c.app == app }); i >= 0 {
			n.changes[i].commit()
			n.changes = slices.Delete(n.changes, i, i+1)
		}
		if err := app.backend.Start(ctx); err != nil {
			return fmt.Errorf("%s: %w", app.name, err)
		}
		app.started = true
	}
	return nil
}

func (n *reload) cancel() {
	for _, c := range n.changes {
		c.change.Cancel()
	}
}

// commit has the next configuration run.
func (r *Registry) commit() {
	next := r.pending
	r.running, r.pending = next.by, nil
	next.by.runs = true
	for _, c := range next.changes {
		c.commit()
	}
	for _, app := range r.all() {
		app.restore() // what was claimed since it was prepared
	}
}

// cancel drops the next configuration.
func (r *Registry) cancel() {
	if r.pending != nil {
		r.pending.cancel()
		r.pending = nil
	}
}
