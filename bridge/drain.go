package bridge

import (
	"errors"
	"fmt"
)

// ErrSpawned is what Drain and Resume return where instances come and go by themselves.
var ErrSpawned = errors.New("the application's instances are Sluice's own: restart it instead")

// Drain has no more requests sent to an instance, one of Backends: before its
// program is stopped, say. The channel is closed when none is left there, and never if
// that is undone by Resume before. Drain the last one, and requests wait until they have
// waited for too long.
func (b *backend) Drain(backend string) (<-chan struct{}, error) {
	name, err := b.configured(backend)
	if err != nil {
		return nil, err
	}
	return b.pool.Drain(name), nil
}

// Resume has requests sent to an instance again.
func (b *backend) Resume(backend string) error {
	name, err := b.configured(backend)
	if err != nil {
		return err
	}
	b.pool.Resume(name)
	return nil
}

// configured is how the pool knows an instance that may be drained.
func (b *backend) configured(backend string) (string, error) {
	if b.Spawned() {
		return "", ErrSpawned
	}
	name, ok := b.members.name(backend)
	if !ok {
		return "", fmt.Errorf("there is no backend %q", backend)
	}
	return name, nil
}
