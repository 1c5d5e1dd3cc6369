package proc

import (
	"errors"
	"fmt"
	"math"
	"syscall"
)

// Limits are resource limits, see setrlimit(2). Zero or nil leaves a limit as it is.
type Limits struct {
	OpenFiles    uint64 // 0: defaultOpenFiles
	Core         *uint64
	AddressSpace uint64
}

// defaultOpenFiles is the default limit of open files. The usual 1024 is too few for some hundred
// kept connections and the files of their requests; a far higher limit makes programs slow that
// close all descriptors they might have.
const defaultOpenFiles = 65536

// set sets the limits of this process, all but the address space.
func (l *Limits) set() error {
	if l.OpenFiles > 0 {
		if err := setLimit(syscall.RLIMIT_NOFILE, l.OpenFiles); err != nil {
			return fmt.Errorf("open files %d: %w", l.OpenFiles, err)
		}
	} else if err := setOpenFiles(); err != nil {
		return fmt.Errorf("open files: %w", err)
	}
	if l.Core != nil {
		if err := setLimit(syscall.RLIMIT_CORE, *l.Core); err != nil {
			return fmt.Errorf("core dumps of %d bytes: %w", *l.Core, err)
		}
	}
	return nil
}

func (l *Limits) setAddressSpace() error {
	if l.AddressSpace == 0 {
		return nil
	}
	if err := setLimit(syscall.RLIMIT_AS, l.AddressSpace); err != nil {
		return fmt.Errorf("address space of %d bytes: %w", l.AddressSpace, err)
	}
	return nil
}

// setOpenFiles sets the default limit, or the hard limit if that is lower and cannot be raised.
func setOpenFiles() error {
	if setLimit(syscall.RLIMIT_NOFILE, defaultOpenFiles) == nil {
		return nil
	}
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return err
	}
	// Go's runtime has raised the soft limit for this process already.
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &r)
}

// setLimit sets the soft limit, and raises the hard limit if that is lower.
func setLimit(resource int, n uint64) error {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(resource, &r); err != nil {
		return err
	}
	setNumber(&r.Cur, n)
	hard := r.Max
	r.Max = max(r.Max, r.Cur)
	err := syscall.Setrlimit(resource, &r)
	if errors.Is(err, syscall.EPERM) && hard < r.Cur {
		return fmt.Errorf("more than the hard limit of %d, which this process may not raise", hard)
	}
	return err
}

// setNumber converts to the type of the system: FreeBSD's limits are signed.
func setNumber[T int64 | uint64](to *T, n uint64) {
	if n > math.MaxInt64 {
		n = math.MaxInt64
	}
	*to = T(n)
}
