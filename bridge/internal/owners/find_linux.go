package owners

import (
	"errors"
	"fmt"
	"io/fs"
	"os/user"
	"slices"
	"strconv"

	"github.com/prometheus/procfs"
)

func find(inodes []uint64) ([]Owner, error) {
	processes, err := procfs.AllProcs()
	if err != nil {
		return nil, err
	}
	slices.SortFunc(processes, func(a, b procfs.Proc) int { return a.PID - b.PID })
	var links []string
	for _, n := range inodes {
		links = append(links, fmt.Sprintf("socket:[%d]", n))
	}
	var list []Owner
	hidden := 0
	for _, p := range processes {
		// A process that has ended meanwhile is neither an owner nor hidden.
		targets, err := p.FileDescriptorTargets()
		if errors.Is(err, fs.ErrPermission) {
			hidden++
		}
		if slices.ContainsFunc(targets, func(t string) bool { return slices.Contains(links, t) }) {
			list = append(list, describe(p))
		}
	}
	if hidden > 0 {
		return list, &HiddenError{hidden}
	}
	return list, nil
}

// describe leaves fields empty that it cannot determine: the process may just have ended.
func describe(p procfs.Proc) Owner {
	o := Owner{PID: p.PID}
	o.Command, _ = p.Comm()
	o.Arguments, _ = p.CmdLine()
	o.Dir, _ = p.Cwd()
	if stat, err := p.Stat(); err == nil {
		o.Threads = stat.NumThreads
	}
	status, err := p.NewStatus()
	if err != nil {
		return o
	}
	o.User = strconv.FormatUint(status.UIDs[1], 10) // the effective one
	if u, err := user.LookupId(o.User); err == nil {
		o.User = u.Username
	}
	return o
}
