package supervise

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/prometheus/procfs"
)

// identity tells a process from all others, with its id: when the system and when the
// process was started.
func identity(pid int) (boot string, start uint64, err error) {
	if boot, err = bootID(); err != nil {
		return "", 0, err
	}
	p, err := procfs.NewProc(pid)
	if err != nil {
		return "", 0, err
	}
	s, err := p.Stat()
	return boot, s.Starttime, err
}

func bootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text)), err
}

// endGroup kills the process group that r is about, and says how many processes it
// were. Ids are used again: each must be the recorded child itself or carry its token.
func endGroup(r record) (int, error) {
	if boot, err := bootID(); err != nil || boot != r.Boot {
		return 0, err // none of them has survived that
	}
	var killed, unproven []int
	for again := true; again; { // those who fork meanwhile, too
		again = false
		all, err := procfs.AllProcs()
		if err != nil {
			return len(killed), err
		}
		for _, p := range all {
			if slices.Contains(killed, p.PID) || slices.Contains(unproven, p.PID) {
				continue
			}
			switch err := endMember(p, r); {
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

// endMember kills p if it is in the group.
func endMember(p procfs.Proc, r record) error {
	s, err := p.Stat()
	if err != nil || s.PGRP != r.PID || s.State == "Z" || s.State == "X" {
		return errNoMember
	}
	// From here on the id cannot come to mean another process.
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
