package bridge

import (
	"context"

	"github.com/sluice-proxy/sluice/bridge/internal/app"
	"github.com/sluice-proxy/sluice/bridge/internal/blocking"
	"github.com/sluice-proxy/sluice/bridge/internal/compress"
)

// Application is an application as the sites in front of it share it: the gate, the
// connections, the processes, and what was learned. Its methods may be called at the same time.
// Call NewApplication, Handler for each site, Start, and Close last.
type Application struct {
	app      *app.Application
	discards blocking.Discards
	encoders compress.Counts
}

// NewApplication checks cfg and returns an Application without a site. It connects to nothing,
// and starts nothing. An error names the setting it is about.
func NewApplication(cfg ApplicationConfig, hooks ApplicationHooks) (*Application, error) {
	a, err := app.New(cfg, hooks.internal())
	if err != nil {
		return nil, err
	}
	return &Application{app: a}, nil
}

// Handler returns a site in front of the application. Close of the Handler closes the site
// alone.
func (a *Application) Handler(cfg SiteConfig, hooks SiteHooks) (*Handler, error) {
	return newHandler(a, cfg, hooks)
}

// Start starts the processes if Spawn is set and they were not started yet. One that ends at once
// is an error: Start watches the first of them for 0.3 s. If ctx ends meanwhile, the processes are
// ended, and the error is the cause of ctx's end. Until Start, requests wait, as they do for an
// application that has no room. A Change that was prepared earlier must be committed or cancelled
// before Start.
func (a *Application) Start(ctx context.Context) error { return a.app.Start(ctx) }

// Spawned reports whether the application is started by a.
func (a *Application) Spawned() bool { return a.app.Spawned() }

// Configure has what cfg says hold from now on, in place: connections, requests, processes and
// what was learned stay. Backends that are added get requests at once; those that are missing
// get no more, and are forgotten when their last one has ended. Processes are replaced, without
// losing a request, only if another command, environment, user or the like is to run.
//
// ErrOtherKind says that this cannot be changed in place: whether there is a Spawn, Spawn.Listen,
// or a setting marked (B) in docs/settings.md, such as Protocol. If Configure fails, it has changed
// nothing.
func (a *Application) Configure(cfg ApplicationConfig) error {
	c, err := a.Prepare(cfg)
	if err != nil {
		return err
	}
	c.Commit()
	return nil
}

// CanBecome returns what Configure would refuse without trying it: a cfg that is not in order,
// or ErrOtherKind.
func (a *Application) CanBecome(cfg ApplicationConfig) error { return a.app.CanBecome(cfg) }

// Prepare does all of Configure that can fail, and nothing that a request, a connection or a
// process notices. So several Applications can be changed, or none.
func (a *Application) Prepare(cfg ApplicationConfig) (*Change, error) {
	c, err := a.app.Prepare(cfg)
	if err != nil {
		return nil, err
	}
	return &Change{c}, nil
}

// Change is a configuration of an Application that nothing speaks against. Commit or Cancel must
// be called, once. Other changes may come first: the last to be committed holds.
type Change struct{ change *app.Change }

// Commit puts the configuration in force.
func (c *Change) Commit() { c.change.Commit() }

// Cancel drops the configuration.
func (c *Change) Cancel() { c.change.Cancel() }

// Restart replaces all of the application's processes, one after the other, without losing a
// request, and returns when that is done. Its error is ErrNotSpawned without Spawn, and
// ErrNotStarted before Start.
func (a *Application) Restart(ctx context.Context) error { return a.app.Restart(ctx) }

// Drain sends no more requests to an instance, one of Backends: before its program is stopped,
// say. The channel is closed when no request is left there, and never if that is undone by
// Resume before. If the last instance is drained, requests wait until they have waited for too
// long. The error is ErrSpawned with Spawn.
func (a *Application) Drain(backend string) (<-chan struct{}, error) { return a.app.Drain(backend) }

// Resume sends requests to an instance again.
func (a *Application) Resume(backend string) error { return a.app.Resume(backend) }

// GiveBack gives the workers that are not needed any more to the other gates of a fleet (Fleet): no
// new requests are sent to the Handlers. It does not wait. Close gives back the rest.
func (a *Application) GiveBack() { a.app.GiveBack() }

// AwaitReady waits until the processes that a has started accept connections. It does not wait for
// those that start with the next request. The error says that one does not start, or is the cause of ctx's
// end.
func (a *Application) AwaitReady(ctx context.Context) error { return a.app.AwaitReady(ctx) }

// Yield leaves workers to another process that serves the same application, and to which new requests
// go from now on. It is called again while the requests here end: idle connections are closed, and no
// more than half of the workers is kept for requests that wait, at least one while a request may
// need it, and always if requests are accepted. It adds to held, by address, how many connections this
// process may still have, which never become more. An application that was started by a, and one of a
// fleet, is not touched. Calls of Yield, Regain and LeaveTo are not concurrent.
func (a *Application) Yield(held map[string]int, accepting bool) { a.app.Yield(held, accepting) }

// Regain undoes Yield: the other process has ended.
func (a *Application) Regain() { a.app.Regain() }

// LeaveTo is for the other process: it has no more connections than those that have left the workers
// after what is held, or none at all if all are left. Nil is nothing held.
func (a *Application) LeaveTo(held map[string]int, all bool) { a.app.LeaveTo(held, all) }

// Close refuses requests that wait, ends what waits for abandoned answers, closes every
// connection and ends the processes. Close all Handlers first. It may be called more than once.
// The error is always nil.
func (a *Application) Close() error {
	a.app.Close()
	return nil
}

// Agree returns nil if the two configurations are equal, defaults filled in, so that one
// Application can serve the sites of both. Otherwise the error names the first setting in which
// they differ, and both values.
func Agree(one, two ApplicationConfig) error { return app.Agree(one, two) }
