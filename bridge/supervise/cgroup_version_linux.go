package supervise

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
)

// cgroupVersion is what a version of cgroups calls its files.
type cgroupVersion struct {
	name           string
	limit, swap    string
	swapFor        func(limit uint64) uint64 // what to write to swap
	usage          string
	inactive       string // in memory.stat: pages of files that were not used lately
	events         string // has oom_kill
	prepare        func(place) error
	prepareGroup   func(group cgroup) error
	prepareMembers func(member cgroup) error
}

var cgroupV2 = cgroupVersion{
	name:  "cgroup v2",
	limit: "memory.max", swap: "memory.swap.max", swapFor: func(uint64) uint64 { return 0 },
	usage: "memory.current", inactive: "inactive_file", events: "memory.events",
	prepare:      func(p place) error { return p.controlMemory() },
	prepareGroup: func(group cgroup) error { return group.write(subtreeControl, "+memory") },
	// What is left of an application when the kernel has killed one of its processes may
	// hang, or answer wrongly.
	prepareMembers: func(member cgroup) error { return member.writeIfThere("memory.oom.group", "1") },
}

var cgroupV1 = cgroupVersion{
	name:  "cgroup v1",
	limit: "memory.limit_in_bytes", swap: "memory.memsw.limit_in_bytes", swapFor: func(limit uint64) uint64 { return limit },
	usage: "memory.usage_in_bytes", inactive: "total_inactive_file", events: "memory.oom_control",
	prepare:        func(place) error { return nil },
	prepareGroup:   func(group cgroup) error { return group.countBelow() },
	prepareMembers: func(cgroup) error { return nil },
}

const (
	subtreeControl = "cgroup.subtree_control"

	// ownCgroup is where we go if we must leave the cgroup that is delegated to us.
	ownCgroup = "sluice"
)

// controlMemory lets the cgroups in p be limited. We must not be in it ourselves then: in
// version 2 there are no processes but in leaves.
func (p place) controlMemory() error {
	if ok, err := p.dir.holds(subtreeControl, "memory"); ok || err != nil {
		return err
	}
	if p.within {
		if err := p.leave(); err != nil {
			return err
		}
	}
	return p.dir.write(subtreeControl, "+memory")
}

// leave moves this process from p to a leaf of its own, for good: nothing says when it
// could come back.
func (p place) leave() error {
	all, err := p.dir.processes()
	if err != nil {
		return err
	}
	if !slices.Equal(all, []int{os.Getpid()}) {
		return fmt.Errorf("other processes are in our cgroup %s: %v", p.dir, all)
	}
	leaf := p.dir.child(ownCgroup)
	if err := leaf.make(); err != nil && !errors.Is(err, fs.ErrExist) { // an earlier start's
		return err
	}
	return leaf.enter(os.Getpid())
}

func (c cgroup) enter(pid int) error { return c.write("cgroup.procs", strconv.Itoa(pid)) }

// countBelow counts what the cgroups in c use. Linux does since 5.11 anyway.
func (c cgroup) countBelow() error {
	const file = "memory.use_hierarchy"
	if n, err := c.number(file); err != nil || n == 1 {
		return nil
	}
	return c.write(file, "1")
}

func (v *cgroupVersion) bound(c cgroup, limit uint64) error {
	if limit == 0 {
		return nil
	}
	if err := c.write(v.limit, strconv.FormatUint(limit, 10)); err != nil {
		return err
	}
	return c.writeIfThere(v.swap, strconv.FormatUint(v.swapFor(limit), 10))
}

func (v *cgroupVersion) used(c cgroup) (uint64, error) {
	usage, err := c.number(v.usage)
	if err != nil {
		return 0, err
	}
	inactive, err := c.keyed("memory.stat", v.inactive)
	if err != nil {
		return 0, err
	}
	return usage - min(usage, inactive), nil // they are not read at once
}
