package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"github.com/prometheus/procfs"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/session"
)

// killGroup kills the process group of a recorded child, and returns how many processes
// those were. Ids are used again: each process must be the recorded child itself, or have its
// token in the environment.
func killGroup(r record) (int, error) {
	if boot, err := session.BootID(); err != nil || boot != r.Boot {
		return 0, err // no process has survived a boot
	}
	var killed, unproven []int
	for again := true; again; { // processes that fork meanwhile are found, too
		again = false
		all, err := procfs.AllProcs()
		if err != nil {
			return len(killed), err
		}
		for _, p := range all {
			if slices.Contains(killed, p.PID) || slices.Contains(unproven, p.PID) {
				continue
			}
			switch err := killMember(p, r); {
			case err == nil:
				killed, again = append(killed, p.PID), true
			case errors.Is(err, errUnproven):
				unproven = append(unproven, p.PID)
			case !errors.Is(err, errNoMember):
				return len(killed), fmt.Errorf("process %d: %w", p.PID, err)
			}
		}
	}
	if len(unproven) > 0 {
		return len(killed), fmt.Errorf("processes %v of group %d may be the killed process's, which cannot be proven: end them yourself", unproven, r.PID)
	}
	return len(killed), nil
}

var (
	errNoMember = errors.New("not in the group, or gone")
	errUnproven = errors.New("in the group, but perhaps another's")
)

// killMember kills p if it is in the group.
func killMember(p procfs.Proc, r record) error {
	s, err := p.Stat()
	if err != nil || s.PGRP != r.PID || s.State == "Z" || s.State == "X" {
		return errNoMember
	}
	// From here on no other process can have the id.
	handle, err := os.FindProcess(p.PID)
	if err != nil {
		return errNoMember
	}
	defer handle.Release()
	if s, err = p.Stat(); err != nil || s.PGRP != r.PID {
		return errNoMember
	}
	if s.Session != r.PID {
		return errUnproven
	}
	if p.PID != r.PID || s.Starttime != r.Start {
		environ, err := p.Environ()
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			return errNoMember
		}
		if err != nil || !slices.Contains(environ, tokenName+"="+r.Token) {
			return errUnproven
		}
	}
	if err := handle.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}
