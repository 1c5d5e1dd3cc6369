package memlimit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// procView is a system as /proc shows it. TOP in it is a directory of the test's.
type procView struct {
	cgroup    string   // /proc/self/cgroup
	mountinfo string   // /proc/self/mountinfo
	files     []string // below TOP; "a=b" has b in it
	marked    string   // directory below TOP that systemd has marked
}

func (s procView) system(t *testing.T) (_ *system, top string) {
	t.Helper()
	top = t.TempDir()
	put := func(name, text string) {
		t.Helper()
		path := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "TOP", top)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("proc/1/cgroup", s.cgroup)
	put("proc/self/mountinfo", s.mountinfo)
	for _, f := range s.files {
		name, text, _ := strings.Cut(f, "=")
		put(name, text)
	}
	if s.marked != "" {
		if err := unix.Setxattr(filepath.Join(top, s.marked), "user.delegate", []byte("1"), 0); err != nil {
			t.Fatal(err)
		}
	}
	proc, err := procfs.NewFS(filepath.Join(top, "proc"))
	if err != nil {
		t.Fatal(err)
	}
	self, err := proc.Proc(1)
	if err != nil {
		t.Fatal(err)
	}
	out := &system{}
	if out.own, err = self.Cgroups(); err != nil {
		t.Fatal(err)
	}
	if out.mounts, err = proc.GetMounts(); err != nil {
		t.Fatal(err)
	}
	return out, top
}

// Taken from real systems.
const (
	mountV2   = "35 24 0:30 / TOP/v2 rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
	mountV1   = "40 25 0:33 / TOP/memory rw,nosuid,nodev,noexec,relatime shared:15 - cgroup cgroup rw,memory\n"
	mountRoot = "24 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"

	unit = "/system.slice/sluice.service"
)

func TestPlace(t *testing.T) {
	for name, tc := range map[string]struct {
		procView
		dir    string
		within bool
	}{
		"a unit with Delegate=yes": {
			procView{cgroup: "0::" + unit + "\n", mountinfo: mountRoot + mountV2, files: []string{"v2" + unit + "/cgroup.controllers=cpu memory pids\n"}, marked: "v2" + unit},
			"v2" + unit, true,
		},
		"a unit with DelegateSubgroup=": {
			procView{cgroup: "0::" + unit + "/main\n", mountinfo: mountV2, files: []string{"v2" + unit + "/cgroup.controllers=memory\n", "v2" + unit + "/main/cgroup.controllers="}, marked: "v2" + unit},
			"v2" + unit, false,
		},
		"a container": {
			procView{cgroup: "0::/\n", mountinfo: mountV2, files: []string{"v2/cgroup.controllers=cpu memory\n", "v2/cgroup.type=domain\n"}},
			"v2", true,
		},
		"a container, when we have been here before": {
			procView{cgroup: "0::/sluice\n", mountinfo: mountV2, files: []string{
				"v2/cgroup.controllers=cpu memory\n", "v2/cgroup.type=domain\n",
				"v2/sluice/cgroup.controllers=memory\n", "v2/sluice/cgroup.type=domain\n",
			}},
			"v2", false,
		},
		"a container that sees its part": {
			procView{cgroup: "0::/docker/1f\n", mountinfo: strings.Replace(mountV2, " / ", " /docker/1f ", 1), files: []string{"v2/cgroup.controllers=memory\n", "v2/cgroup.type=domain\n"}},
			"v2", true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, top := tc.system(t)
			p, err := s.delegation()
			if err != nil {
				t.Fatal(err)
			}
			if want := filepath.Join(top, tc.dir); string(p.dir) != want || p.within != tc.within {
				t.Errorf("in %s, within %v; want in %s, %v", p.dir, p.within, want, tc.within)
			}
		})
	}
}

// Where no cgroup is delegated, none is made, even by root.
func TestNoPlace(t *testing.T) {
	for name, tc := range map[string]struct {
		procView
		want string
	}{
		"a unit": {
			procView{cgroup: "0::" + unit + "\n", mountinfo: mountV2, files: []string{"v2" + unit + "/cgroup.controllers=memory\n", "v2" + unit + "/cgroup.type=domain\n"}},
			"our cgroup " + unit + " is not delegated to us",
		},
		"the parent of a unit's parent is marked": {
			procView{cgroup: "0::" + unit + "/a/b\n", mountinfo: mountV2, files: []string{"v2" + unit + "/a/b/cgroup.controllers=memory\n", "v2" + unit + "/cgroup.controllers=memory\n"}, marked: "v2" + unit},
			"is not delegated",
		},
		"the system's root": {
			procView{cgroup: "0::/\n", mountinfo: mountV2, files: []string{"v2/cgroup.controllers=memory\n"}},
			"our cgroup / is not delegated",
		},
		"no memory controller": {
			procView{cgroup: "0::" + unit + "\n", mountinfo: mountV2, files: []string{"v2" + unit + "/cgroup.controllers=memory_bandwidth cpu\n"}, marked: "v2" + unit},
			"has no memory controller",
		},
		"read-only": {
			procView{cgroup: "0::/\n", mountinfo: strings.Replace(mountV2, "rw,nosuid", "ro,nosuid", 1), files: []string{"v2/cgroup.controllers=memory\n", "v2/cgroup.type=domain\n"}},
			"v2 is mounted read-only",
		},
		"not mounted": {procView{cgroup: "0::" + unit + "\n", mountinfo: mountRoot}, "our cgroup " + unit + " is not mounted"},
		"outside of what is mounted": {
			procView{cgroup: "0::/../other\n", mountinfo: mountV2}, "our cgroup /../other is not mounted",
		},
		"beside what is mounted": {
			procView{cgroup: "0::/docker/1f2\n", mountinfo: strings.Replace(mountV2, " / ", " /docker/1f ", 1)}, "our cgroup /docker/1f2 is not mounted",
		},
		"version 1 alone": {
			procView{cgroup: "4:memory:" + unit + "\n", mountinfo: mountV1, files: []string{"memory" + unit + "/tasks"}, marked: "memory" + unit},
			"this system does not have it",
		},
		"no cgroups": {procView{mountinfo: mountRoot}, "this system does not have it"},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := tc.system(t)
			p, err := s.delegation()
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("place %v, %v; want %q", p, err, tc.want)
			}
		})
	}
}
