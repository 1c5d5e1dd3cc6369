package spool

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// ErrDisk reports that temporary files cannot be written, for example because the file system is full or
// the directory is gone.
var ErrDisk = errors.New("spool: temporary files cannot be written")

const (
	// retryDisk is the pause after a failed write.
	retryDisk = time.Second
	// reportInterval is the least time between two log lines about faults or refusals.
	reportInterval = 10 * time.Second
)

// fault is the reason why nothing is written to disk. Meanwhile a Pipe continues at its reader's pace, and
// a Buffer stays in memory.
type fault struct {
	err      error     // nil: there is no fault
	full     bool      // found by measure, and ended by it
	retry    time.Time // when a write may be tried again
	logged   time.Time // when a fault was logged last
	reported bool      // this fault was logged
}

// mayTry reports whether a write may be tried. During a fault it returns true once per retryDisk.
func (f *fault) mayTry() bool {
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

// mayWrite reports whether a body may write to disk, if only to test whether that works again.
func (s *Store) mayWrite() bool {
	if !s.failing.Load() {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault.mayTry()
}

// diskFailed records the error of creating or writing a file.
func (s *Store) diskFailed(err error) {
	now := time.Now()
	s.mu.Lock()
	f := &s.fault
	tell := !f.reported && now.Sub(f.logged) >= reportInterval
	f.err, f.retry = err, now.Add(retryDisk)
	s.inUse.DiskError = err.Error()
	if tell {
		f.logged, f.reported = now, true
	}
	s.failing.Store(true)
	s.mu.Unlock()
	if tell {
		s.config.Logger.Error("temporary files cannot be written; until they can, slow clients get their answers at their own pace, and request bodies stay in memory as long as there is room",
			slog.String("error", err.Error()), slog.String("advice", "make room in, or give access to, the directory of --spool-dir"))
	}
}

// diskWorked records that a file was written.
func (s *Store) diskWorked() {
	if !s.failing.Load() {
		return
	}
	s.mu.Lock()
	tell := s.fault.reported
	s.fault = fault{logged: s.fault.logged}
	s.inUse.DiskError = ""
	s.failing.Store(false)
	s.wake()
	s.mu.Unlock()
	if tell {
		s.config.Logger.Info("temporary files can be written again", slog.String("dir", s.config.Dir))
	}
}

// refusals has the bodies without room that were not logged yet.
type refusals struct {
	last time.Time // when the last line was logged
	n    int
}

// refuse returns the error for a body without room, and logs it, at most every reportInterval.
func (s *Store) refuse(c Client) error {
	now := time.Now()
	s.mu.Lock()
	err := fmt.Errorf("%w: the temporary files in %s may hold %d bytes together", ErrDiskFull, s.config.Dir, s.config.Disk)
	advice := "raise spool.disk (--spool-disk) if the disk has room"
	switch {
	case s.fault.err != nil:
		err = fmt.Errorf("%w: %w", ErrDisk, s.fault.err)
	case s.files.full():
		err = fmt.Errorf("%w: there are as many temporary files, %d, as this process may have together", ErrDiskFull, s.files.most)
		advice = "raise the limit of open files (ulimit -n, or LimitNOFILE= of systemd)"
	}
	s.inUse.Refused++
	s.refusals.n++
	n := s.refusals.n
	tell := now.Sub(s.refusals.last) >= reportInterval
	if tell {
		s.refusals = refusals{last: now}
	}
	s.mu.Unlock()
	if tell {
		s.config.Logger.Warn("there is no room for bodies; those that do not fit are refused",
			slog.Int("refused", n), slog.String("last_client", c.String()), slog.String("error", err.Error()), slog.String("advice", advice))
	}
	return err
}
