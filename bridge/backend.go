package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/internal/lines"
	"github.com/sluice-proxy/sluice/bridge/internal/nested"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/spool"
)

// Backend is an application as Bridges see it that share it: the gate, the connections,
// the processes, and what was learned. Each Bridge is a site in front of it. Its methods may
// be called at the same time. NewBackend, Bridge for each site, Start, and Close last.
type Backend struct{ *backend }

// backend is what a Bridge has of its Backend.
type backend struct {
	settings atomic.Pointer[ApplicationConfig] // what holds now; complete, never changed
	hooks    BackendHooks
	gate     *admission.Gate
	pool     *pool.Pool
	spool    atomic.Pointer[spool.Store] // for bodies that come
	stderr   *lines.Log
	refusals *refusals
	discards discards
	sites    sites
	nested   *nested.Finder

	processes *spawned // nil: the application runs already

	resumes atomic.Bool // the application goes on after an empty STDOUT record

	configuring sync.Mutex // held while settings are prepared, committed, and gone by for the first time
	members     *members

	abandoned atomic.Int64
	ctx       context.Context // ends when close begins to wait for abandoned exchanges
	cancel    context.CancelFunc
	orphans   sync.WaitGroup // abandoned exchanges
	close     func()
}

// NewBackend checks cfg and returns a Backend without a site. It connects to nothing, and
// starts nothing: Start does that. An error names the key it is about.
func NewBackend(cfg ApplicationConfig, hooks BackendHooks) (*Backend, error) {
	if err := completeApplication(&cfg); err != nil {
		return nil, err
	}
	b := &backend{hooks: hooks.withDefaults(), sites: newSites()}
	b.stderr, b.refusals = lines.NewLog(b.hooks.Logger, "application stderr"), newRefusals(b.hooks.Logger)
	b.settings.Store(&cfg)
	if cfg.Spawn != nil {
		b.processes = &spawned{command: cfg.Spawn.Command[0]}
	}
	store, err := spool.New(bodies(cfg.Spool, b.hooks.Logger))
	if err != nil {
		return nil, err
	}
	b.spool.Store(store)
	connect := connections(&cfg, &b.hooks)
	if connect.Instances, err = b.hooks.instances(cfg.Backends); err != nil {
		return nil, err
	}
	connect.Memory = func() pool.Memory { return b.spool.Load() }
	if b.pool, err = pool.New(connect); err != nil {
		return nil, err
	}
	admit := gate(&cfg)
	admit.Capacity, admit.OnStall = b.pool.Capacity, b.onStall
	if b.gate, err = admission.New(admit); err != nil {
		b.pool.Close()
		return nil, err
	}
	b.members = newMembers(b.pool, &b.hooks, cfg.Backends)
	b.nested = nested.New(b.listeners)
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.close = sync.OnceFunc(b.shutdown)
	return &Backend{b}, nil
}

// Start starts what Spawn says, if that was not done yet. Until then requests wait, as
// they do for an application that has no room. A Change that was prepared before is to be
// committed or cancelled before, too.
func (b *Backend) Start() error {
	b.configuring.Lock()
	defer b.configuring.Unlock()
	if err := b.spawn(); err != nil {
		return fmt.Errorf("spawn: %w", err)
	}
	return nil
}

// stderrOf returns where the application's standard error for one request goes.
// Path is empty if the request is not known any more.
func (b *backend) stderrOf(path, instance string) lines.Source {
	return b.stderr.Source(slog.String("path", path), slog.String("instance", instance))
}

// Close refuses who waits, ends what waits for abandoned answers, closes every connection
// and ends the processes. Close all Bridges first. It may be called more than once.
func (b *Backend) Close() error {
	b.close()
	return nil
}

func (b *backend) shutdown() {
	b.gate.Close()
	b.cancel()
	b.orphans.Wait()
	b.nested.Close()
	b.refusals.close()
	b.members.close()
	b.pool.Close()
	if b.processes != nil {
		if err := b.processes.Close(); err != nil {
			b.hooks.Logger.Error("ending the application failed", "error", err.Error())
		}
	}
	b.stderr.Flush()
}
