package supervise

import (
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// cgroupPrefix begins the names of our cgroups.
const cgroupPrefix = "sluice-"

// cgroupMeters has a cgroup for all children, and one in it for each.
type cgroupMeters struct {
	group  cgroup
	limits Memory
}

func newCgroupMeters(limits Memory, runDir string) (*cgroupMeters, error) {
	s, err := newSystem()
	if err != nil {
		return nil, err
	}
	p, err := s.place()
	if err != nil {
		return nil, fmt.Errorf("cgroup v2: %w", err)
	}
	m, err := p.meters(limits, runDir)
	if err != nil {
		return nil, fmt.Errorf("cgroup v2: %w", err)
	}
	return m, nil
}

func (p place) meters(limits Memory, runDir string) (*cgroupMeters, error) {
	m := &cgroupMeters{group: p.dir.child(cgroupPrefix + rand.Text()), limits: limits}
	if err := p.controlMemory(); err != nil {
		return nil, err
	}
	// First recorded, then made: nothing is left that nobody knows of.
	if err := noteCgroup(runDir, string(m.group)); err != nil {
		return nil, fmt.Errorf("recording the cgroup: %w", err)
	}
	if err := m.make(); err != nil {
		return nil, errors.Join(err, m.group.remove())
	}
	return m, nil
}

func (m *cgroupMeters) make() error {
	if err := m.group.make(); err != nil {
		return err
	}
	if err := m.group.write(subtreeControl, "+memory"); err != nil {
		return err
	}
	if err := m.group.bound(m.limits.Total); err != nil {
		return err
	}
	_, err := m.used() // what cannot be read is of no use
	return err
}

func (m *cgroupMeters) kind() string { return "cgroup v2" }

func (m *cgroupMeters) open(name string) (meter, error) {
	c := m.group.child(name)
	err := c.make()
	if err != nil {
		return nil, fmt.Errorf("memory of the command: %w", err)
	}
	// What is left of an application when the kernel has killed one of its processes may
	// hang, or answer wrongly.
	if err = c.writeIfThere("memory.oom.group", "1"); err == nil {
		err = c.bound(m.limits.Hard)
	}
	if err != nil {
		return nil, fmt.Errorf("memory of the command: %w", errors.Join(err, c.remove()))
	}
	return &cgroupMeter{c}, nil
}

func (m *cgroupMeters) limit(limits Memory) (renew bool, err error) {
	if limits.Total == 0 && m.limits.Total > 0 {
		return false, fmt.Errorf("taking the total away %w", ErrOtherKind)
	}
	if err := m.group.bound(limits.Total); err != nil {
		return false, err
	}
	renew = limits.Hard != m.limits.Hard
	m.limits = limits
	return renew, nil
}

func (m *cgroupMeters) used() (uint64, error) { return m.group.used() }

func (m *cgroupMeters) close() error { return m.group.end() }

// end kills everything in c, and removes it.
func (c cgroup) end() error {
	if err := c.kill(); err != nil {
		return err
	}
	return c.remove()
}

// cgroupMeter is a child's cgroup.
type cgroupMeter struct {
	cgroup cgroup
}

func (m *cgroupMeter) enter(pid int) error {
	if err := m.cgroup.enter(pid); err != nil {
		return fmt.Errorf("memory of process %d: %w", pid, err)
	}
	return nil
}

func (m *cgroupMeter) used() (uint64, error) { return m.cgroup.used() }

func (m *cgroupMeter) killed() uint64 {
	n, err := m.cgroup.keyed("memory.events", "oom_kill")
	if err != nil {
		return 0 // an old kernel does not count them
	}
	return n
}

func (m *cgroupMeter) kill() error  { return m.cgroup.kill() }
func (m *cgroupMeter) path() string { return string(m.cgroup) }
func (m *cgroupMeter) close() error { return m.cgroup.remove() }

// removeCgroup ends and removes the cgroup of a killed process of ours. Its name cannot
// have come to mean another.
func removeCgroup(path string) error {
	if !strings.HasPrefix(filepath.Base(path), cgroupPrefix) {
		return fmt.Errorf("cgroup %q: that is none of ours", path)
	}
	return cgroup(path).end()
}
