package app

import (
	"context"
	"errors"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// ErrNotSpawned is what Restart returns where there is nothing to restart.
var ErrNotSpawned = errors.New("the application was not started by Sluice (spawn is not set)")

// Supervisor keeps the application's processes, as an Application needs it: a supervise.Group.
type Supervisor interface {
	Answered(addr, route string)
	Lost(addr string, r supervise.Request)
	Wanted()
	Stalled(began time.Time)
	Refusing() (time.Duration, bool)
	Quarantined(route string) (time.Duration, bool)
	Restart(ctx context.Context) error
	Prepare(cfg supervise.Config) (commit, cancel func(), err error)
	ExpectReady()
	Snapshot() supervise.Snapshot
	QuickSnapshot() supervise.Snapshot
	Close() error
}

// group is a Supervisor for real.
type group struct{ *supervise.Group }

func startGroup(ctx context.Context, cfg supervise.Config) (Supervisor, error) {
	g, err := supervise.Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return group{g}, nil
}

func (g group) Prepare(cfg supervise.Config) (commit, cancel func(), err error) {
	c, err := g.Group.Prepare(cfg)
	if err != nil {
		return nil, nil, err
	}
	return c.Commit, c.Cancel, nil
}

// spawn starts the application. The backend is complete but for that: its processes join
// the pool as they come.
func (a *Application) spawn(ctx context.Context) error {
	c := a.settings.Load()
	if c.Spawn == nil {
		return nil
	}
	if supervise.Lacks != "" && a.processes.get() == nil {
		a.hooks.Logger.Warn(supervise.Lacks)
	}
	return a.processes.start(func() (Supervisor, error) { return a.hooks.Start(ctx, a.group(c)) })
}

// group is what the processes are kept by.
func (a *Application) group(c *config.Application) supervise.Config {
	g := supervised(c.Spawn, c.Workers)
	g.Front, g.Logger, g.Events, g.Reexec = front{a}, a.hooks.Logger, a.Events, a.hooks.Reexec
	if c.Spawn.Ready != "" {
		g.Ready = a.ready
	}
	return g
}

// Spawned reports whether the application was started by a.
func (a *Application) Spawned() bool { return a.processes != nil }

// Restart replaces all of the application's processes, one after the other, without
// losing a request, and returns when that is done. Without config.Application.Spawn it returns
// ErrNotSpawned.
func (a *Application) Restart(ctx context.Context) error {
	if a.processes == nil {
		return ErrNotSpawned
	}
	return a.processes.Restart(ctx)
}

// front is an Application as its processes see it: whoever sends the requests.
type front struct{ app *Application }

var _ supervise.Front = front{}

func (f front) Add(name string, alive func() bool) error {
	in, err := f.app.hooks.instance(name)
	if err != nil {
		return err
	}
	in.Alive = alive
	return f.app.Pool.Add(in)
}

func (f front) Drain(addr string) <-chan struct{} { return f.app.Pool.Drain(addr) }

func (f front) Resume(addr string) { f.app.Pool.Resume(addr) }

func (f front) Remove(addr string) { f.app.Pool.Remove(addr) }

func (f front) Load() supervise.Load {
	inUse, waiting := f.app.Gate.Load()
	// The gate may have let in more than there are connections for: it looks at what the
	// instances hold only now and then.
	started := min(f.app.Pool.Waiting(), inUse)
	return supervise.Load{InFlight: inUse - started, Waiting: waiting + started}
}

func (f front) Connected(addr string) (n int, steady bool) { return f.app.Pool.Connected(addr) }

func (f front) InFlight(addr string) (list []supervise.Request) {
	for _, r := range f.app.Gate.InFlight() {
		if r.Instance == addr {
			list = append(list, supervise.Request{Method: r.Method, Path: r.Path, Route: r.Route, Age: r.Age})
		}
	}
	return list
}

func (f front) Fail(addr string) { f.app.Pool.Fail(addr) }

func (f front) Down() {
	f.app.Gate.RefuseWaiting(admission.Down)
	if told := f.app.hooks.OnGivenUp; told != nil {
		told()
	}
}

// onStall tells whoever needs to know that the application answers nobody, or does again:
// the log last, for that may be slow.
func (a *Application) onStall(s admission.Stall) {
	defer a.logStall(s)
	a.noteStall(s)
	if a.processes != nil {
		began := s.Began
		if !s.Ended.IsZero() {
			began = time.Time{}
		}
		a.processes.Stalled(began)
	}
	if told := a.hooks.OnStall; told != nil {
		told(s)
	}
}
