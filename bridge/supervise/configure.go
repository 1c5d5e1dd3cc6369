package supervise

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/memlimit"
)

// ErrOtherKind is returned by Configure if a setting cannot be changed in place: Config.Socket,
// Listen, TempDir and Reexec. A new Group is needed for that.
var ErrOtherKind = errors.New("cannot be changed while the application runs")

// limitTimeout is how long changing the memory limits may take: the kernel may have to reclaim
// memory first.
const limitTimeout = 10 * time.Second

// Configure puts cfg in force, as if the Group had been started with it. If the settings of a
// process change - the command, its environment, user and limits - all processes are replaced, as
// by Restart; if that fails, the old ones go on and it is tried again. Front, Logger and
// Events stay as they are. If Configure fails, nothing is changed.
func (g *Group) Configure(cfg Config) error {
	c, err := g.Prepare(cfg)
	if err != nil {
		return err
	}
	c.Commit()
	return nil
}

// Change is a configuration that was checked. Commit or Cancel must be called, once. There may
// be several Changes at once: the last one that is committed is in force.
type Change struct {
	group   *Group
	plan    *plan
	restart bool // the new memory limits hold only for processes that are started afterwards
}

// Prepare does all of Configure that can fail, and nothing that affects a process or a request.
func (g *Group) Prepare(cfg Config) (*Change, error) {
	p, err := cfg.plan()
	if err != nil {
		return nil, err
	}
	sup, c := g.supervisor, &Change{group: g, plan: p}
	old := sup.current()
	if isClosed(sup.done) {
		return nil, errClosed
	}
	if err := p.checkInPlace(old); err != nil {
		return nil, err
	}
	if p.Memory == old.Memory {
		return c, nil // if another Change has set other limits, Commit or Cancel sets these again
	}
	if c.restart, err = g.limit(p.Memory, old.Memory); err != nil {
		return nil, fmt.Errorf("memory limits: %w", err)
	}
	return c, nil
}

// Commit puts the configuration in force.
func (c *Change) Commit() {
	sup := c.group.supervisor
	sup.call(func() { sup.configure(c.plan, c.restart) })
	c.group.syncLimits()
}

// Cancel drops the configuration.
func (c *Change) Cancel() { c.group.syncLimits() }

// syncLimits sets the memory limits of the plan in force, if a Change has set others.
func (g *Group) syncLimits() {
	inForce := g.supervisor.current().Memory
	g.limitsMu.Lock()
	same := g.limits == inForce
	g.limitsMu.Unlock()
	if same {
		return
	}
	if _, err := g.limit(inForce, inForce); err != nil && !errors.Is(err, errClosed) {
		g.log.Error("restoring the memory limits failed", "error", err.Error(), "advice", "restart Sluice to set the limits again")
	}
}

// current is the plan in force.
func (sup *supervisor) current() (p *plan) {
	sup.call(func() { p = sup.plan })
	return p
}

// limit changes the memory limits. restart says that they hold only for processes that are
// started afterwards. A change that takes too long is undone when it is done.
func (g *Group) limit(to, was Memory) (restart bool, err error) {
	type outcome struct {
		restart bool
		err     error
	}
	done := make(chan outcome, 1)
	g.supervisor.executor.do(func() {
		restart, err := g.memory.SetLimits(memlimit.Limits(to))
		if errors.Is(err, memlimit.ErrTotalStays) {
			err = fmt.Errorf("%w %w", err, ErrOtherKind)
		}
		done <- outcome{restart, err}
	})
	select {
	case o := <-done:
		if o.err == nil {
			g.limitsMu.Lock()
			g.limits = to
			g.limitsMu.Unlock()
		}
		return o.restart, o.err
	case <-g.supervisor.done:
		return false, errClosed
	case <-time.After(limitTimeout):
	}
	g.supervisor.executor.do(func() { _, _ = g.memory.SetLimits(memlimit.Limits(was)) })
	return false, fmt.Errorf("are not changed after %v: does the system not answer?", limitTimeout)
}

// checkInPlace returns an error that names a setting that cannot be changed in place.
func (p *plan) checkInPlace(old *plan) error {
	for _, f := range []struct {
		name string
		same bool
	}{
		{"the way of the socket", p.Socket == old.Socket},
		{"the listening address", p.Listen == old.Listen},
		{"the temporary directory", p.TempDir == old.TempDir},
		{"reexec", p.Reexec == old.Reexec},
		{"more than one instance", p.MaxInstances == 1 || !old.hasFixedPort()},
	} {
		if !f.same {
			return fmt.Errorf("%s %w", f.name, ErrOtherKind)
		}
	}
	return nil
}

// configure puts p in force, for which checkInPlace has returned nil. restart has all children
// replaced in any case.
func (sup *supervisor) configure(p *plan, restart bool) {
	restart = restart || !p.runsAs(sup.plan)
	if restart || p.Workers != sup.plan.Workers {
		sup.concurrency = concurrency{} // it is another program, or its settings follow the advice
	}
	p.Front, p.Logger, p.Events = sup.plan.Front, sup.plan.Logger, sup.plan.Events
	if p.User == "" && sup.plan.User != "" {
		p.warnOfRoot()
	}
	if sup.plan.IdleShutdown == 0 {
		sup.lastWanted.Store(sup.ticks(time.Now())) // requests until now were not noted
	}
	sup.plan = p
	sup.budget.max, sup.budget.window = p.SpawnBudget.Spawns, p.SpawnBudget.Per
	sup.publish()
	for _, in := range sup.instances {
		in.machine.stop = p.SpawnBudget.Stop
		sup.setLifetime(in, in.machine.startedAt)
		if in.readyDone != nil && !isClosed(in.readyDone) {
			sup.awaitReady(in) // in the way that p says
		}
	}
	if restart {
		sup.replaceAll(reconfigured)
	}
	sup.again = true
}

// runsAs reports whether both plans start the same processes.
func (p *plan) runsAs(other *plan) bool {
	return p.path == other.path && slices.Equal(p.Command, other.Command) && p.Dir == other.Dir &&
		sameEnviron(p.environ, other.environ) && p.account.Equal(other.account) &&
		samePointer(p.Umask, other.Umask) && p.Nice == other.Nice && p.Backlog == other.Backlog &&
		p.Limits.OpenFiles == other.Limits.OpenFiles && p.Limits.AddressSpace == other.Limits.AddressSpace &&
		samePointer(p.Limits.Core, other.Limits.Core)
}

// sameEnviron compares environments regardless of their order.
func sameEnviron(a, b []string) bool {
	set := func(list []string) map[string]bool {
		m := make(map[string]bool, len(list))
		for _, kv := range list {
			m[kv] = true
		}
		return m
	}
	return maps.Equal(set(a), set(b))
}

func samePointer[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}
