package spool

import (
	"log/slog"
	"syscall"
	"time"
)

// measureInterval is the least time between two measurements of the file system.
const measureInterval = time.Second

// freeSpace returns how many bytes the file system of the temporary files has left; ok is false if that is
// not known.
func (s *Store) freeSpace() (n int64, ok bool) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(s.config.Dir, &fs); err != nil || fs.Blocks == 0 {
		return 0, false
	}
	return int64(fs.Bavail) * int64(fs.Bsize), true // their types differ between systems
}

// measureDue reports whether measureInterval has passed.
func (s *Store) measureDue() bool {
	return time.Now().UnixNano()-s.measured.Load() >= int64(measureInterval)
}

// measure limits the disk budget to seven eighths of the room that the file system has left, if
// measureInterval has passed. It reports whether there is more room than before. No lock may be held,
// because a file system may hang.
func (s *Store) measure() (more bool) {
	now := time.Now().UnixNano()
	last := s.measured.Load()
	if now-last < int64(measureInterval) || !s.measured.CompareAndSwap(last, now) {
		return false
	}
	free, ok := s.freeSpace()
	s.mu.Lock()
	was := s.disk.size
	s.disk.size = s.config.Disk
	if ok {
		s.disk.size = min(s.disk.size, s.disk.used+max(free, 0)/8*7)
	}
	if more = s.disk.size > was; more {
		s.wake()
	}
	full, known := ok && free < fullBelow, s.fault.err != nil
	s.fault.full = s.fault.full || full && !known
	over := s.fault.full && !full
	s.mu.Unlock()
	switch {
	case over:
		s.diskWorked()
	case full && !known:
		s.diskFailed(s.fileError("write", syscall.ENOSPC))
	}
	return more
}

// fullBelow is the room in bytes below which a file system counts as full.
const fullBelow = 128 << 10

// compareSpace logs if the file system has less room than configured.
func (s *Store) compareSpace() {
	if s.disk.size < s.config.Disk {
		s.config.Logger.Warn("the file system of the temporary files has less room than they may hold together; less will be used",
			slog.String("dir", s.config.Dir), slog.Int64("spool_disk", s.config.Disk), slog.Int64("used_at_most", s.disk.size), slog.String("advice", "make room, or name another directory with --spool-dir"))
	}
}
