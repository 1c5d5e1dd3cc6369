package supervise

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
)

const (
	subtreeControl = "cgroup.subtree_control"
	memoryMax      = "memory.max"
	memoryCurrent  = "memory.current"

	// ownCgroup is where we go if we must leave the cgroup that is delegated to us.
	ownCgroup = "sluice"
)

// controlMemory lets the cgroups in p be limited. We must not be in it ourselves then:
// there are no processes but in leaves.
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

// bound sets the limit of c, which does not include swap: that is not used at all.
func (c cgroup) bound(limit uint64) error {
	if limit == 0 {
		return nil
	}
	if err := c.write(memoryMax, strconv.FormatUint(limit, 10)); err != nil {
		return err
	}
	return c.writeIfThere("memory.swap.max", "0")
}

// used is what c uses, without the pages of files that were not used lately.
func (c cgroup) used() (uint64, error) {
	usage, err := c.number(memoryCurrent)
	if err != nil {
		return 0, err
	}
	inactive, err := c.keyed("memory.stat", "inactive_file")
	if err != nil {
		return 0, err
	}
	return usage - min(usage, inactive), nil // they are not read at once
}
