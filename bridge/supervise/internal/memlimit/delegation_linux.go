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

// A cgroup has one writer: the program that has made it, such as systemd or the manager of a
// container, may rely on what is in it. So cgroups are made only below one that is delegated to
// this process. That is so if systemd has set an extended attribute of it (Delegate=yes), or if
// it is the topmost cgroup that is visible in a container.

// ownCgroup is the leaf that this process moves to if it must leave the cgroup that is
// delegated to it.
const ownCgroup = "sluice"

// delegation is a cgroup below which this process may make others.
type delegation struct {
	dir    cgroup
	within bool // this process is in dir itself
}

// system is what /proc shows of the cgroups of the system and of this process.
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

// delegation returns the cgroup that is delegated to this process, or why there is none.
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
	case own.path == own.root && own.dir.has("cgroup.type"): // the root of the system does not have that file
	case own.path == path.Join(own.root, ownCgroup) && own.dir.child("..").has("cgroup.type"): // this program has moved there, see leave
		p.dir, p.within = own.dir.child(".."), false
	default:
		return delegation{}, fmt.Errorf("our cgroup %s is not delegated to us (Delegate=yes in a systemd unit does that)", own.path)
	}
	if ok, err := p.dir.hasWord("cgroup.controllers", "memory"); err != nil {
		return delegation{}, err
	} else if !ok {
		return delegation{}, fmt.Errorf("our cgroup %s has no memory controller", own.path)
	}
	return p, nil
}

// isMarked reports whether systemd has marked a cgroup as delegated. Which attribute it sets
// depends on its own version and the kernel's.
func isMarked(dir cgroup) bool {
	for _, name := range []string{"user.delegate", "trusted.delegate"} {
		var value [2]byte
		if n, err := unix.Getxattr(string(dir), name, value[:]); err == nil && string(value[:n]) == "1" {
			return true
		}
	}
	return false
}

// location is the cgroup of this process.
type location struct {
	dir  cgroup
	path string // in the hierarchy
	root string // the topmost path that is visible
}

// find finds the cgroup of this process in the hierarchy of version 2.
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

// below returns path relative to root, and whether it is below root.
func below(path, root string) (string, bool) {
	root = strings.TrimSuffix(root, "/")
	rest, ok := strings.CutPrefix(path, root)
	if !ok || rest != "" && rest[0] != '/' || strings.HasPrefix(rest, "/..") {
		return "", false
	}
	return rest, true
}

// controlMemory has the memory of cgroups below p controlled. The kernel allows that only where
// p itself has no processes.
func (p delegation) controlMemory() error {
	if ok, err := p.dir.hasWord(subtreeControl, "memory"); ok || err != nil {
		return err
	}
	if p.within {
		if err := p.leave(); err != nil {
			return err
		}
	}
	return p.dir.write(subtreeControl, "+memory")
}

// leave moves this process from p to a leaf of its own, where it stays.
func (p delegation) leave() error {
	all, err := p.dir.processes()
	if err != nil {
		return err
	}
	if !slices.Equal(all, []int{os.Getpid()}) {
		return fmt.Errorf("other processes are in our cgroup %s: %v", p.dir, all)
	}
	leaf := p.dir.child(ownCgroup)
	if err := leaf.make(); err != nil && !errors.Is(err, fs.ErrExist) { // of an earlier start
		return err
	}
	return leaf.enter(os.Getpid())
}
