package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
)

// createFile returns a new temporary file without a name, with mode 0600.
func (s *Store) createFile() (*os.File, error) {
	f, err := s.unnamedFile()
	if err != nil {
		return nil, err
	}
	s.count(Stats{Files: 1})
	return f, nil
}

// namedFile creates a file and removes its name, on systems without O_TMPFILE. os.CreateTemp sets mode
// 0600.
func (s *Store) namedFile() (*os.File, error) {
	f, err := os.CreateTemp(s.config.Dir, "sluice-*")
	if err != nil {
		return nil, s.fileError("create", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close() // nothing was written; the error of Remove matters
		return nil, s.fileError("unlink", err)
	}
	return f, nil
}

func (s *Store) closeFile(f *os.File) error {
	err := f.Close()
	s.count(Stats{Files: -1})
	return s.fileError("close", err)
}

// fileError names the directory, which helps an operator, instead of the file, which has no name any
// more.
func (s *Store) fileError(what string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // a file that has lost bytes must not look like the end of the body
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err
	}
	return fmt.Errorf("spool: cannot %s a temporary file in %s: %w", what, s.config.Dir, err)
}

// fileLimit bounds the files of several Stores. A nil one is no limit.
type fileLimit struct {
	most int64
	used atomic.Int64 // by claims with room for a file
}

// ofProcess is for the Stores of this process that have the default of Config.Files: a quarter of its
// descriptors, so that each of a few may have all that is its own, and many leave the rest to others.
var ofProcess = sync.OnceValue(func() *fileLimit { return &fileLimit{most: int64(max(descriptors()/4, 1))} })

// take reports whether there may be one more file. give gives it back.
func (l *fileLimit) take() bool {
	if l != nil && l.used.Add(1) > l.most {
		l.used.Add(-1)
		return false
	}
	return true
}

// full reports whether take would fail.
func (l *fileLimit) full() bool { return l != nil && l.used.Load() >= l.most }

func (l *fileLimit) give() {
	if l != nil {
		l.used.Add(-1)
	}
}

// descriptors returns how many descriptors this process may have, a million at most.
func descriptors() int {
	const most = 1 << 20
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return most // no limit is known
	}
	return int(min(uint64(limit.Cur), most))
}
