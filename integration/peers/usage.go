package main

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
)

// clockTick is the unit of CPU times in /proc/PID/stat: USER_HZ is 100 on
// every architecture Go runs on.
const clockTick = 10 * time.Millisecond

// cpuTime is the user and system time the tree of root has used so far: its
// live processes, and those of their children that have ended.
func cpuTime(root int) (time.Duration, error) {
	tree, err := processTree(root)
	if err != nil {
		return 0, err
	}
	var ticks int64
	for _, p := range tree {
		ticks += int64(p.UTime) + int64(p.STime) + int64(p.CUTime) + int64(p.CSTime)
	}
	return time.Duration(ticks) * clockTick, nil
}

// peakMemory is the sum of the largest resident sizes, in bytes, of the tree's
// live processes.
func peakMemory(root int) (uint64, error) {
	return sum(root, func(p procfs.Proc) (uint64, error) {
		status, err := p.NewStatus()
		return status.VmHWM, err
	})
}

// proportionalMemory is the sum of the proportional set sizes, in bytes: pages that processes share are
// counted once.
func proportionalMemory(root int) (uint64, error) {
	return sum(root, func(p procfs.Proc) (uint64, error) {
		maps, err := p.ProcSMapsRollup()
		return maps.Pss, err
	})
}

// descriptors is how many file descriptors the tree has open.
func descriptors(root int) (uint64, error) {
	return sum(root, func(p procfs.Proc) (uint64, error) {
		n, err := p.FileDescriptorsLen()
		return uint64(n), err
	})
}

// sum adds a figure of the tree's live processes up.
func sum(root int, figure func(procfs.Proc) (uint64, error)) (uint64, error) {
	tree, err := processTree(root)
	if err != nil {
		return 0, err
	}
	var total uint64
	for _, stat := range tree {
		p, err := procfs.NewProc(stat.PID)
		if gone(err) {
			continue
		}
		if err != nil {
			return 0, err
		}
		n, err := figure(p)
		if gone(err) {
			continue
		}
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// processTree returns root and everything that descends from it. Processes
// whose parent has ended still belong by their process group.
func processTree(root int) ([]procfs.ProcStat, error) {
	procs, err := procfs.AllProcs()
	if err != nil {
		return nil, err
	}
	all := make(map[int]procfs.ProcStat, len(procs))
	for _, p := range procs {
		stat, err := p.Stat()
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all[stat.PID] = stat
	}
	if _, ok := all[root]; !ok {
		return nil, fmt.Errorf("process %d has ended", root)
	}

	var tree []procfs.ProcStat
	for _, stat := range all {
		if stat.PGRP == root || descends(all, stat, root) {
			tree = append(tree, stat)
		}
	}
	return tree, nil
}

// descends follows parents up to root. The number of steps is bounded because
// the table was not read in one instant and could hold a loop.
func descends(all map[int]procfs.ProcStat, stat procfs.ProcStat, root int) bool {
	for range len(all) {
		if stat.PID == root {
			return true
		}
		parent, ok := all[stat.PPID]
		if !ok {
			return false
		}
		stat = parent
	}
	return false
}

// gone reports that a process ended between being listed and being read.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}
