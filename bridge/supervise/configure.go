package supervise

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/memlimit"
)

// ErrOtherKind is what Configure returns if what is to change cannot be changed in place:
// Config.Listen, TempDir and Reexec. Another Group can have it.
var ErrOtherKind = errors.New("cannot be changed while the application runs")

// limitTime is how long changing the memory limits may take: the kernel may have to take
// memory back first.
const limitTimeout = 10 * time.Second

// Configure has everything that cfg says hold from now on, as if the Group had been
// started with it. What is about one process - the command, its environment, user and
// limits - holds for the next ones: those that run are replaced, as by Restart, and if
// that fails, it is tried again while the old ones go on. Front and Logger stay as they
// are. If it fails, nothing is changed.
func (g *Group) Configure(cfg Config) error {
	c, err := g.Prepare(cfg)
	if err != nil {
		return err
	}
	c.Commit()
	return nil
}

// Change is a configuration that was found to be in order. Commit or Cancel must be called,
// once. Other changes may come first: the last to be committed holds.
type Change struct {
	group   *Group
	plan    *plan
	restart bool // the memory limits hold for new children alone
}

// Prepare does all of Configure that can fail, and nothing that a process, or a request,
// notices.
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
		return c, nil // if others are prepared, Commit or Cancel restores these
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

// settleLimits has the memory limits be those of what holds, if others were prepared.
func (g *Group) syncLimits() {
	holds := g.supervisor.current().Memory
	g.limitsMu.Lock()
	same := g.limits == holds
	g.limitsMu.Unlock()
	if same {
		return
	}
	if _, err := g.limit(holds, holds); err != nil && !errors.Is(err, errClosed) {
		g.log.Error("restoring the memory limits failed", "error", err.Error())
	}
}

// current is what the children are kept by now.
func (sup *supervisor) current() (p *plan) {
	sup.call(func() { p = sup.plan })
	return p
}

// limit changes the memory limits. renew says that it holds for new children alone. If it
// is not done in time, it is undone when it is.
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

// otherKind is an error that names what cannot be changed in place; nil: nothing.
func (p *plan) checkInPlace(old *plan) error {
	for _, f := range []struct {
		name string
		same bool
	}{
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

// configure has p hold, which is of the same kind. renew has what runs replaced in any
// case.
func (sup *supervisor) configure(p *plan, renew bool) {
	renew = renew || !p.runsAs(sup.plan)
	if renew || p.Workers != sup.plan.Workers {
		sup.concurrency = concurrency{} // it may be another, or was told what to do
	}
	p.Front, p.Logger = sup.plan.Front, sup.plan.Logger
	if p.User == "" && sup.plan.User != "" {
		p.warnOfRoot()
	}
	sup.plan = p
	sup.budget.max, sup.budget.window = p.SpawnBudget.Spawns, p.SpawnBudget.Per
	sup.publish()
	for _, in := range sup.instances {
		in.machine.stop = p.SpawnBudget.Stop
		sup.setLifetime(in, in.machine.startedAt)
	}
	if renew {
		sup.replaceAll(reconfigured)
	}
	sup.again = true
}

// runsAs reports whether children of both plans are the same.
func (p *plan) runsAs(other *plan) bool {
	return p.path == other.path && slices.Equal(p.Command, other.Command) && p.Dir == other.Dir &&
		sameEnviron(p.environ, other.environ) && p.account.Equal(other.account) &&
		samePointer(p.Umask, other.Umask) && p.Nice == other.Nice && p.Backlog == other.Backlog &&
		p.Limits.OpenFiles == other.Limits.OpenFiles && p.Limits.AddressSpace == other.Limits.AddressSpace &&
		samePointer(p.Limits.Core, other.Limits.Core)
}

// sameEnviron compares regardless of the order.
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
