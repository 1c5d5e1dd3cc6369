package spool

import (
	"log/slog"
	"syscall"
	"time"
)

// measurePause is how long what a file system has left is taken for known.
const measurePause = time.Second

// freeSpace returns how many bytes may be written to the file system of the
// temporary files; ok is false if it does not say.
func (s *Store) freeSpace() (n int64, ok bool) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(s.config.Dir, &fs); err != nil || fs.Blocks == 0 {
		return 0, false
	}
	return int64(fs.Bavail) * int64(fs.Bsize), true // their types differ between systems
}

// stale reports whether measure would measure.
func (s *Store) stale() bool {
	return time.Now().UnixNano()-s.measured.Load() >= int64(measurePause)
}

// measure adapts the disk budget to what the file system has left, if that was not
// done just now: an eighth less, which is for others. It reports whether there is more
// room than before. No lock may be held: a file system may hang.
func (s *Store) measure() (more bool) {
	now := time.Now().UnixNano()
	last := s.measured.Load()
	if now-last < int64(measurePause) || !s.measured.CompareAndSwap(last, now) {
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
		s.worked()
	case full && !known:
		s.failed(s.fileError("write", syscall.ENOSPC))
	}
	return more
}

// fullBelow is how little a file system has left that is full.
const fullBelow = 128 << 10

// compareSpace tells the log if there is less room than was configured.
func (s *Store) compareSpace() {
	if s.disk.size < s.config.Disk {
		s.config.Logger.Warn("the file system of the temporary files has less room than they may hold together; less will be used",
			slog.String("dir", s.config.Dir), slog.Int64("spool_disk", s.config.Disk), slog.Int64("used_at_most", s.disk.size))
	}
}
