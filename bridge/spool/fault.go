package spool

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// ErrDisk reports that temporary files cannot be written: the file system is full,
// say, or the directory has gone.
var ErrDisk = errors.New("spool: temporary files cannot be written")

const (
	// retryDisk is how long nothing is written after that has failed.
	retryDisk = time.Second
	// faultPause is how long the log is not told of a fault again.
	faultPause = 10 * time.Second
)

// fault is why nothing is written to disk just now. A Pipe goes at its reader's
// pace meanwhile, a Buffer stays in memory.
type fault struct {
	err    error     // nil: there is none
	full   bool      // it was found by measuring, and ends so
	retry  time.Time // when somebody is to try again
	logged time.Time // when the log was told of the last one
	told   bool      // the log was told of this one
}

// over reports whether writing is worth trying. Of those who ask while there is a
// fault, one may try in each retryDisk.
func (f *fault) over() bool {
	if f.err == nil {
		return true
	}
	now := time.Now()
	if now.Before(f.retry) {
		return false
	}
	f.retry = now.Add(retryDisk)
	return true
}

// retry reports whether to write to disk, be it to see whether that works again.
func (s *Store) retry() bool {
	if !s.failing.Load() {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault.over()
}

// failed notes what went wrong when a file was created or written.
func (s *Store) failed(err error) {
	now := time.Now()
	s.mu.Lock()
	f := &s.fault
	tell := !f.told && now.Sub(f.logged) >= faultPause
	f.err, f.retry = err, now.Add(retryDisk)
	s.inUse.DiskError = err.Error()
	if tell {
		f.logged, f.told = now, true
	}
	s.failing.Store(true)
	s.mu.Unlock()
	if tell {
		s.config.Logger.Error("temporary files cannot be written; until they can, slow clients get their answers at their own pace, and request bodies stay in memory as long as there is room",
			slog.String("error", err.Error()))
	}
}

// worked notes that a file was written.
func (s *Store) worked() {
	if !s.failing.Load() {
		return
	}
	s.mu.Lock()
	tell := s.fault.told
	s.fault = fault{logged: s.fault.logged}
	s.inUse.DiskError = ""
	s.failing.Store(false)
	s.wake()
	s.mu.Unlock()
	if tell {
		s.config.Logger.Info("temporary files can be written again", slog.String("dir", s.config.Dir))
	}
}

// refusals are bodies that found no room and were not reported yet.
type refusals struct {
	last time.Time // when there was a report
	n    int
}

// refuse returns the error of a client's body that finds no room, and fails for it.
// The log is told, but not of each.
func (s *Store) refuse(c Client) error {
	now := time.Now()
	s.mu.Lock()
	err := fmt.Errorf("%w: the temporary files in %s may hold %d bytes together", ErrDiskFull, s.config.Dir, s.config.Disk)
	if s.fault.err != nil {
		err = fmt.Errorf("%w: %w", ErrDisk, s.fault.err)
	}
	s.inUse.Refused++
	s.refusals.n++
	n := s.refusals.n
	tell := now.Sub(s.refusals.last) >= faultPause
	if tell {
		s.refusals = refusals{last: now}
	}
	s.mu.Unlock()
	if tell {
		s.config.Logger.Warn("there is no room for bodies; those that do not fit are refused",
			slog.Int("refused", n), slog.String("last_client", c.String()), slog.String("error", err.Error()))
	}
	return err
}
