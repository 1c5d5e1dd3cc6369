package app

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
func (a *Application) Drain(backend string) (<-chan struct{}, error) {
	name, err := a.configured(backend)
	if err != nil {
		return nil, err
	}
	return a.Pool.Drain(name), nil
}

// Resume has requests sent to an instance again.
func (a *Application) Resume(backend string) error {
	name, err := a.configured(backend)
	if err != nil {
		return err
	}
	a.Pool.Resume(name)
	return nil
}

// configured is how the pool knows an instance that may be drained.
func (a *Application) configured(backend string) (string, error) {
	if a.Spawned() {
		return "", ErrSpawned
	}
	name, ok := a.members.name(backend)
	if !ok {
		return "", fmt.Errorf("there is no backend %q", backend)
	}
	return name, nil
}
