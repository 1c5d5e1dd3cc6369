//go:build unix && !linux

package supervise

import (
	"errors"
	"log/slog"
)

// newMeters fails if there are limits: this system does not tell what others use.
func newMeters(limits Memory, _ string, _ *slog.Logger) (meters, error) {
	if limits.limited() {
		return nil, errors.New("memory limits need Linux")
	}
	return noMeters{}, nil
}

// noMeters measure nothing.
type noMeters struct{}

func (noMeters) kind() string               { return "none" }
func (noMeters) open(string) (meter, error) { return noMeter{}, nil }
func (noMeters) limit(m Memory) (bool, error) {
	_, err := newMeters(m, "", nil)
	return false, err
}
func (noMeters) used() (uint64, error) { return 0, nil }
func (noMeters) close() error          { return nil }

type noMeter struct{}

func (noMeter) enter(int) error       { return nil }
func (noMeter) used() (uint64, error) { return 0, nil }
func (noMeter) killed() uint64        { return 0 }
func (noMeter) kill() error           { return nil }
func (noMeter) path() string          { return "" }
func (noMeter) close() error          { return nil }

func removeCgroup(string) error { return nil }
