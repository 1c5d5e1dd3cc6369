package memlimit

import (
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// cgroupPrefix begins the names of the cgroups that are made here.
const cgroupPrefix = "sluice-"

// cgroupController has a cgroup for all children, and in it one for each.
type cgroupController struct {
	group  cgroup
	limits Limits
}

func newCgroupController(limits Limits, record func(cgroup string) error) (*cgroupController, error) {
	s, err := newSystem()
	if err != nil {
		return nil, err
	}
	p, err := s.delegation()
	if err == nil {
		err = p.controlMemory()
	}
	if err != nil {
		return nil, fmt.Errorf("cgroup v2: %w", err)
	}
	m := &cgroupController{group: p.dir.child(cgroupPrefix + rand.Text()), limits: limits}
	// Recorded before it is made: a cgroup that is left is always known.
	if err := record(string(m.group)); err != nil {
		return nil, fmt.Errorf("recording the cgroup: %w", err)
	}
	if err := m.make(); err != nil {
		return nil, fmt.Errorf("cgroup v2: %w", errors.Join(err, m.group.remove()))
	}
	return m, nil
}

func (m *cgroupController) make() error {
	if err := m.group.make(); err != nil {
		return err
	}
	if err := m.group.write(subtreeControl, "+memory"); err != nil {
		return err
	}
	if err := m.group.bound(m.limits.Total); err != nil {
		return err
	}
	_, err := m.Used() // a cgroup that cannot be read is of no use
	return err
}

func (m *cgroupController) Kind() string { return "cgroup v2" }

func (m *cgroupController) Open(name string) (Meter, error) {
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

func (m *cgroupController) SetLimits(limits Limits) (newOnly bool, err error) {
	if limits.Total == 0 && m.limits.Total > 0 {
		return false, ErrTotalStays
	}
	if err := m.group.bound(limits.Total); err != nil {
		return false, err
	}
	newOnly = limits.Hard != m.limits.Hard
	m.limits = limits
	return newOnly, nil
}

func (m *cgroupController) Used() (uint64, error) { return m.group.used() }

func (m *cgroupController) Close() error { return m.group.end() }

// end kills the processes in c, and removes it.
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

func (m *cgroupMeter) Enter(pid int) error {
	if err := m.cgroup.enter(pid); err != nil {
		return fmt.Errorf("memory of process %d: %w", pid, err)
	}
	return nil
}

func (m *cgroupMeter) Used() (uint64, error) { return m.cgroup.used() }

func (m *cgroupMeter) OOMKills() uint64 {
	n, err := m.cgroup.keyed("memory.events", "oom_kill")
	if err != nil {
		return 0 // an old kernel does not count them
	}
	return n
}

func (m *cgroupMeter) Kill() error  { return m.cgroup.kill() }
func (m *cgroupMeter) Close() error { return m.cgroup.remove() }

// RemoveCgroup kills the processes in a cgroup that a killed process of this program has
// recorded, and removes it. Its name is random: no other cgroup has it.
func RemoveCgroup(path string) error {
	if !strings.HasPrefix(filepath.Base(path), cgroupPrefix) {
		return fmt.Errorf("cgroup %q: that is none of ours", path)
	}
	return cgroup(path).end()
}
