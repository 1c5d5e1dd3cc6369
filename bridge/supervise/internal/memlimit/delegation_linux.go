package memlimit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// Cgroups have one writer each: who made one - systemd, a container's manager, whatever
// has started us - may rely on what is in it. So we make none but where we are told that
// we may: below a cgroup that is delegated to us.
//
// A process is not told; it sees it by an extended attribute of the cgroup that systemd
// sets (Delegate=yes), or because the cgroup is the topmost that can be seen from its
// container.

// ownCgroup is the leaf that this process moves to if it must leave the cgroup that is
// delegated to it.
const ownCgroup = "sluice"

// delegation is a cgroup below which we may make others.
type delegation struct {
	dir    cgroup
	within bool // we are in it ourselves
}

// system is what is known of the system's cgroups, and of ours.
type system struct {
	own    []procfs.Cgroup
	mounts []*procfs.MountInfo
}

func newSystem() (*system, error) {
	self, err := procfs.Self()
	if err != nil {
		return nil, err
	}
	s := &system{}
	if s.own, err = self.Cgroups(); err != nil {
		return nil, err
	}
	s.mounts, err = procfs.GetMounts()
	return s, err
}

// place finds the best place there is, or says why there is none.
func (s *system) delegation() (delegation, error) {
	own, err := s.find()
	if err != nil {
		return delegation{}, err
	}
	p := delegation{dir: own.dir, within: true}
	switch {
	case isMarked(own.dir):
	case own.path != own.root && isMarked(own.dir.child("..")):
		p.dir, p.within = own.dir.child(".."), false // DelegateSubgroup=
	case own.path == own.root && own.dir.has("cgroup.type"): // which the system's root has not
	case own.path == path.Join(own.root, ownCgroup) && own.dir.child("..").has("cgroup.type"): // we have moved there ourselves
		p.dir, p.within = own.dir.child(".."), false
	default:
		return delegation{}, fmt.Errorf("our cgroup %s is not delegated to us (Delegate=yes in a systemd unit does that)", own.path)
	}
	if ok, err := p.dir.holds("cgroup.controllers", "memory"); err != nil {
		return delegation{}, err
	} else if !ok {
		return delegation{}, fmt.Errorf("our cgroup %s has no memory controller", own.path)
	}
	return p, nil
}

// isMarked reports whether systemd says that it has delegated a cgroup: it sets one of
// these, by its own version and the kernel's.
func isMarked(dir cgroup) bool {
	for _, name := range []string{"user.delegate", "trusted.delegate"} {
		var value [2]byte
		if n, err := unix.Getxattr(string(dir), name, value[:]); err == nil && string(value[:n]) == "1" {
			return true
		}
	}
	return false
}

// location is where we are in a hierarchy.
type location struct {
	dir  cgroup
	path string // in the hierarchy
	root string // the topmost path that can be seen
}

// find finds us in the hierarchy of version 2.
func (s *system) find() (location, error) {
	i := slices.IndexFunc(s.own, func(c procfs.Cgroup) bool { return c.HierarchyID == 0 })
	if i < 0 {
		return location{}, errors.New("this system does not have it")
	}
	own := s.own[i].Path
	for _, m := range s.mounts {
		if m.FSType != "cgroup2" {
			continue
		}
		below, ok := below(own, m.Root)
		if !ok {
			continue
		}
		if _, ro := m.Options["ro"]; ro {
			return location{}, fmt.Errorf("%s is mounted read-only", m.MountPoint)
		}
		return location{cgroup(filepath.Join(m.MountPoint, below)), own, path.Clean(m.Root)}, nil
	}
	return location{}, fmt.Errorf("our cgroup %s is not mounted", own)
}

// below is what path is in root, and whether it is there.
func below(path, root string) (string, bool) {
	root = strings.TrimSuffix(root, "/")
	rest, ok := strings.CutPrefix(path, root)
	if !ok || rest != "" && rest[0] != '/' || strings.HasPrefix(rest, "/..") {
		return "", false
	}
	return rest, true
}

// controlMemory lets the cgroups in p be limited. We must not be in it ourselves then:
// there are no processes but in leaves.
func (p delegation) controlMemory() error {
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
func (p delegation) leave() error {
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
