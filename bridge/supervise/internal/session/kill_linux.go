package session

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// KillAll kills the processes that list returns until it returns none, because they may fork
// meanwhile, and waits for their ends.
func KillAll(list func() ([]int, error)) error {
	deadline := time.Now().Add(KillTimeout)
	for {
		pids, err := list()
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v are still there %v after SIGKILL", pids, KillTimeout)
		}
		if err := killThese(pids, list, deadline); err != nil {
			return err
		}
	}
}

// killThese kills processes, and waits for their ends. To kill no other process that has got the
// id of one, it opens handles first, and then kills only those that list still returns.
func killThese(pids []int, list func() ([]int, error), deadline time.Time) error {
	var held []*os.Process
	defer func() {
		for _, p := range held {
			_ = p.Release() // never fails on a handle
		}
	}()
	for _, pid := range pids {
		if p, err := os.FindProcess(pid); err == nil { // else the process has ended
			held = append(held, p)
		}
	}
	still, err := list()
	if err != nil {
		return err
	}
	held = slices.DeleteFunc(held, func(p *os.Process) bool { return !slices.Contains(still, p.Pid) })
	for _, p := range held {
		if err := p.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("killing process %d: %w", p.Pid, err)
		}
	}
	for _, p := range held {
		if err := awaitExit(p, deadline); err != nil {
			return err
		}
	}
	return nil
}

// awaitExit waits until a process, which need not be a child, has ended, or for the deadline.
func awaitExit(p *os.Process, deadline time.Time) error {
	var failed error
	err := p.WithHandle(func(fd uintptr) {
		for left := time.Until(deadline); left > 0; left = time.Until(deadline) {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
			if n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
				failed = err
				return
			}
		}
	})
	if errors.Is(err, os.ErrNoHandle) {
		time.Sleep(10 * time.Millisecond) // before Linux 5.3 there is no event: the caller lists again
		return nil
	}
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return errors.Join(err, failed)
}
