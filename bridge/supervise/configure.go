package supervise

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// ErrOtherKind is what Configure returns if what is to change cannot be changed in place:
// Config.Listen, TempDir and Reexec. Another Group can have it.
var ErrOtherKind = errors.New("cannot be changed while the application runs")

// Configure has everything that cfg says hold from now on, as if the Group had been
// started with it. What is about one process - the command, its environment, user and
// limits - holds for the next ones: those that run are replaced, as by Restart, and if
// that fails, it is tried again while the old ones go on. Front and Logger stay as they
// are. If it fails, nothing is changed.
func (g *Group) Configure(cfg Config) error {
	p, err := cfg.plan()
	if err != nil {
		return err
	}
	k := g.keeper
	done := make(chan error, 1)
	select {
	case k.asks <- func() { done <- k.configure(p) }:
		return <-done
	case <-k.done:
		return errClosed
	}
}

func (k *keeper) configure(p *plan) error {
	old := k.plan
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
	renew := !p.runsAs(old)
	if p.Memory != old.Memory {
		again, err := k.program.limit(p.Memory)
		if err != nil {
			return fmt.Errorf("memory limits: %w", err)
		}
		renew = renew || again
	}
	p.Front, p.Logger = old.Front, old.Logger
	k.plan = p
	k.budget.most, k.budget.window = p.SpawnBudget.Spawns, p.SpawnBudget.Per
	k.publish()
	for _, s := range k.slots {
		s.machine.stop = p.SpawnBudget.Stop
		k.allot(s, s.machine.begun)
	}
	if renew {
		k.replaceAll(reconfigured)
	}
	return nil
}

// runsAs reports whether children of both plans are the same.
func (p *plan) runsAs(other *plan) bool {
	return p.path == other.path && slices.Equal(p.Command, other.Command) && p.Dir == other.Dir &&
		sameEnviron(p.environ, other.environ) && p.account.equal(other.account) &&
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
