package bridge

import (
	"errors"
	"fmt"
	"slices"
)

// ErrSpawned is what Drain and Resume return where instances come and go by themselves.
var ErrSpawned = errors.New("the application's instances are Sluice's own: restart it instead")

// Drain has no more requests sent to an instance, one of Config.Backends: before its
// program is stopped, say. The channel is closed when none is left there, and never if
// that is undone by Resume before. Drain the last one, and requests wait until they have
// waited for too long.
func (b *Bridge) Drain(backend string) (<-chan struct{}, error) {
	if err := b.hasBackend(backend); err != nil {
		return nil, err
	}
	return b.pool.Drain(backend), nil
}

// Resume has requests sent to an instance again.
func (b *Bridge) Resume(backend string) error {
	if err := b.hasBackend(backend); err != nil {
		return err
	}
	b.pool.Resume(backend)
	return nil
}

func (b *Bridge) hasBackend(backend string) error {
	if b.Spawned() {
		return ErrSpawned
	}
	if !slices.Contains(b.cfg.Backends, backend) {
		return fmt.Errorf("there is no backend %q", backend)
	}
	return nil
}
