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
// the processes, and what was learned. Each Bridge is a site in front of it. Of a Config
// it goes by Backends, Spawn, Workers, KeepAlive, Multiplex, Lanes, Reserve, Queue without
// PollAnswer, Flow.Limit, Admission, Spool, and Dial, Send and Idle of Timeouts; Preset
// says what kind of application it is. Its methods may be called at the same time.
// NewBackend, Bridge for each site, Start, and Close last.
type Backend struct{ *backend }

// backend is what a Bridge has of its Backend.
type backend struct {
	settings atomic.Pointer[Config] // what holds now; normalized, never changed
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
func NewBackend(cfg Config) (*Backend, error) {
	if err := cfg.normalize(); err != nil {
		return nil, err
	}
	list, err := cfg.instances()
	if err != nil {
		return nil, err
	}
	b := &backend{stderr: lines.NewLog(cfg.Logger, "application stderr"), refusals: newRefusals(cfg.Logger), sites: newSites()}
	b.settings.Store(&cfg)
	if cfg.Spawn != nil {
		b.processes = &spawned{command: cfg.Spawn.Command[0]}
	}
	store, err := spool.New(cfg.spool())
	if err != nil {
		return nil, err
	}
	b.spool.Store(store)
	connections := cfg.pool(list)
	connections.Memory = func() pool.Memory { return b.spool.Load() }
	if b.pool, err = pool.New(connections); err != nil {
		return nil, err
	}
	gate := cfg.gate()
	gate.Capacity, gate.OnStall = b.pool.Capacity, b.onStall
	if b.gate, err = admission.New(gate); err != nil {
		b.pool.Close()
		return nil, err
	}
	b.members = newMembers(b.pool, cfg.Backends)
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
			b.settings.Load().Logger.Error("ending the application failed", "error", err.Error())
		}
	}
	b.stderr.Flush()
}
