package app

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/events"
	"github.com/sluice-proxy/sluice/bridge/fleet"
	"github.com/sluice-proxy/sluice/bridge/internal/acceptqueue"
	"github.com/sluice-proxy/sluice/bridge/internal/exchange"
	"github.com/sluice-proxy/sluice/bridge/internal/lines"
	"github.com/sluice-proxy/sluice/bridge/internal/nested"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/spool"
	"github.com/sluice-proxy/sluice/bridge/supervise"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// Application is an application as the sites in front of it share it. Its methods may be called
// at the same time. New, Join for each site, Start, and Close last.
type Application struct {
	Gate       *admission.Gate
	Pool       *pool.Pool
	Nested     *nested.Finder
	Authorizer *Authorizer // nil: there is none
	Holds      *Holds      // nil: clients are not held

	settings atomic.Pointer[config.Application] // what holds now; complete, never changed
	hooks    Hooks
	spool    atomic.Pointer[spool.Store] // for bodies that come
	stderr   *lines.Log
	refusals *refusals
	sites    sites
	Events   *events.Log // what has happened to it
	resumes  atomic.Bool // the application goes on after an empty STDOUT record

	processes *spawned      // nil: the application runs already
	fleet     *fleet.Member // nil: no other gate uses the application
	yielded   *int          // connections to each instance that Yield has left to this process; nil: all

	configuring sync.Mutex // held while settings are prepared, committed, and used for the first time
	members     *members

	background sync.WaitGroup
	abandoned  atomic.Int64    // functions in background, and what loops await themselves
	ctx        context.Context // of these
	cancel     context.CancelFunc
	close      func()
}

var _ exchange.Application = (*Application)(nil)

// New checks cfg and returns an Application without a site. It connects to nothing, and starts
// nothing: Start does that. An error names the key it is about.
func New(cfg config.Application, hooks Hooks) (_ *Application, err error) {
	if err := Complete(&cfg); err != nil {
		return nil, err
	}
	a := &Application{hooks: hooks.withDefaults(), sites: newSites(), Events: new(events.Log)}
	a.stderr, a.refusals = lines.NewLog(a.hooks.Logger, "application stderr"), newRefusals(a.hooks.Logger)
	a.settings.Store(&cfg)
	if cfg.Spawn != nil {
		a.processes = &spawned{command: cfg.Spawn.Command[0]}
	}
	store, err := spool.New(bodies(cfg.Spool, a.hooks.Logger))
	if err != nil {
		return nil, err
	}
	a.spool.Store(store)
	defer func() {
		if err != nil {
			a.abort()
		}
	}()
	if a.Holds, err = newHolds(&cfg, a.hooks.Logger); err != nil {
		return nil, err
	}
	connect := connections(&cfg, &a.hooks)
	if connect.Instances, err = a.hooks.instances(cfg.Backends); err != nil {
		return nil, err
	}
	connect.OnOutage, connect.OnCapacity = a.onOutage, a.onCapacity
	connect.Memory = func() pool.Memory { return a.spool.Load() }
	if a.Pool, err = pool.New(connect); err != nil {
		return nil, err
	}
	admit := gate(&cfg)
	admit.Capacity, admit.OnStall = a.Pool.Capacity, a.onStall
	if a.Gate, err = admission.New(admit); err != nil {
		return nil, err
	}
	if a.Authorizer, err = newAuthorizer(a, &cfg, a.hooks); err != nil {
		return nil, err
	}
	if err = a.join(&cfg); err != nil {
		return nil, err
	}
	a.members = newMembers(a.Pool, &a.hooks, cfg.Backends)
	a.Nested = nested.New(a.listeners)
	a.ctx, a.cancel = context.WithCancel(context.Background())
	a.close = sync.OnceFunc(a.shutdown)
	return a, nil
}

// abort ends what New has made before it failed.
func (a *Application) abort() {
	a.Holds.close()
	if a.Authorizer != nil {
		a.Authorizer.Close()
	}
	if a.Gate != nil {
		a.Gate.Close()
	}
	if a.Pool != nil {
		a.Pool.Close()
	}
}

// Start starts the processes, if there are any to start and they were not started yet. Until
// then requests wait, as they do for an application that has no room. A Change that was
// prepared earlier must be committed or cancelled before Start.
func (a *Application) Start(ctx context.Context) error {
	a.configuring.Lock()
	defer a.configuring.Unlock()
	if err := a.spawn(ctx); err != nil {
		return fmt.Errorf("spawn: %w", err)
	}
	if a.fleet != nil {
		a.fleet.Start()
	}
	a.Holds.start()
	return nil
}

// Close refuses requests that wait, ends what waits for abandoned answers, closes every
// connection and ends the processes. All sites have left before.
func (a *Application) Close() { a.close() }

func (a *Application) shutdown() {
	if a.Authorizer != nil {
		a.Authorizer.Gate.Close() // requests that wait need not wait any longer
	}
	a.Gate.Close()
	a.Holds.close()
	a.cancel()
	a.background.Wait()
	a.Nested.Close()
	a.refusals.close()
	a.members.close()
	a.Pool.Close()
	if a.fleet != nil {
		a.fleet.Close()
	}
	if a.processes != nil {
		if err := a.processes.Close(); err != nil {
			a.hooks.Logger.Error("ending the application failed", "error", err.Error(), "advice", "see whether its processes are gone")
		}
	}
	if a.Authorizer != nil {
		a.Authorizer.Close()
	}
	a.stderr.Flush()
}

// Settings returns the configuration that holds now. It is complete.
func (a *Application) Settings() *config.Application { return a.settings.Load() }

// Logger returns the one of the hooks, or one that drops everything.
func (a *Application) Logger() *slog.Logger { return a.hooks.Logger }

// Spool returns the store for bodies that come.
func (a *Application) Spool() *spool.Store { return a.spool.Load() }

// Background runs f, which waits for an abandoned answer, in a goroutine of its own. ctx ends
// when the application is closed, which waits for f.
func (a *Application) Background(f func(ctx context.Context)) {
	a.abandoned.Add(1)
	a.background.Go(func() {
		defer a.abandoned.Add(-1)
		f(a.ctx)
	})
}

// Awaits notes that an event loop has begun to wait for an abandoned answer itself, by 1, or has ended to,
// by -1. Close waits for these, too: the loop leaves what takes longer than a moment to Background.
func (a *Application) Awaits(n int) {
	a.abandoned.Add(int64(n))
	a.background.Add(n)
}

// Abandoned returns how many answers are awaited for nobody.
func (a *Application) Abandoned() int64 { return a.abandoned.Load() }

// ProcessStats returns the state of the processes, nil if the application was not started by
// this program.
func (a *Application) ProcessStats() *supervise.Snapshot {
	if a.processes == nil {
		return nil
	}
	return new(a.processes.Snapshot())
}

// QuickProcessStats is ProcessStats without what the processes use.
func (a *Application) QuickProcessStats() *supervise.Snapshot {
	if a.processes == nil {
		return nil
	}
	return new(a.processes.QuickSnapshot())
}

// listeners are the inodes of the sockets on this machine that the application listens on.
func (a *Application) listeners() (inodes []uint64) {
	for _, name := range a.Pool.Addrs() {
		network, addr, err := config.ParseAddress(name)
		if err != nil {
			continue
		}
		if q, err := acceptqueue.Of(network, addr); err == nil {
			inodes = append(inodes, q.Inodes...)
		}
	}
	return inodes
}

// The methods of exchange.Application.

// Codec implements exchange.Application.
func (a *Application) Codec() upstream.Codec { return codecOf(a.settings.Load()) }

// Patience implements exchange.Application.
func (a *Application) Patience() time.Duration {
	return time.Duration(a.settings.Load().Queue.Timeout)
}

// CountReplay implements exchange.Application.
func (a *Application) CountReplay(err *pool.Error) { a.Pool.CountReplay(err) }

// NoteRefused implements exchange.Application.
func (a *Application) NoteRefused(reason, client string) { a.refusals.note(reason, client) }

// Stderr implements exchange.Application. Path is empty if the request is not known any more.
func (a *Application) Stderr(path, instance string) lines.Source {
	return a.stderr.Source(slog.String("path", path), slog.String("instance", instance))
}

// Resumes implements exchange.Application.
func (a *Application) Resumes() bool { return a.resumes.Load() }

// NoteResumes implements exchange.Application.
func (a *Application) NoteResumes() bool { return !a.resumes.Swap(true) }

// Processes implements exchange.Application.
func (a *Application) Processes() exchange.Processes {
	if a.processes == nil {
		return exchange.NoProcesses{}
	}
	return a.processes
}
