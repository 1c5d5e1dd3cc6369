//go:build unix && !linux

package memlimit

import (
	"errors"
	"log/slog"
)

// New fails if there are limits: on this system the memory of other processes is not known.
func New(limits Limits, _ func(string) error, _ *slog.Logger) (Controller, error) {
	if limits != (Limits{}) {
		return nil, errors.New("memory limits need Linux")
	}
	return noController{}, nil
}

// noController measures nothing.
type noController struct{}

func (noController) Kind() string               { return "none" }
func (noController) Open(string) (Meter, error) { return NoMeter{}, nil }
func (noController) SetLimits(l Limits) (bool, error) {
	_, err := New(l, nil, nil)
	return false, err
}
func (noController) Used() (uint64, error) { return 0, nil }
func (noController) Close() error          { return nil }

// RemoveCgroup has nothing to do: there are no cgroups.
func RemoveCgroup(string) error { return nil }
