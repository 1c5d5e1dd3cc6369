package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// createFile returns a new temporary file that has no name, with mode 0600.
func (s *Store) createFile() (*os.File, error) {
	f, err := s.unnamedFile()
	if err != nil {
		return nil, err
	}
	s.count(Stats{Files: 1})
	return f, nil
}

// namedFile creates a file and removes its name, where there is no file without
// one. os.CreateTemp gives it mode 0600.
func (s *Store) namedFile() (*os.File, error) {
	f, err := os.CreateTemp(s.config.Dir, "sluice-*")
	if err != nil {
		return nil, s.fileError("create", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close() // nothing was written; the error above it is the one that matters
		return nil, s.fileError("unlink", err)
	}
	return f, nil
}

func (s *Store) closeFile(f *os.File) error {
	err := f.Close()
	s.count(Stats{Files: -1})
	return s.fileError("close", err)
}

// fileError names the directory, which an operator can do something about,
// instead of the file, which has no name any more.
func (s *Store) fileError(what string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // a file that lost bytes must not pass for the end of the body
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err
	}
	return fmt.Errorf("spool: cannot %s a temporary file in %s: %w", what, s.config.Dir, err)
}

// descriptors is how many this process may have open, a million at most.
func descriptors() int {
	const most = 1 << 20
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return most // then nothing is known of a limit
	}
	return int(min(uint64(limit.Cur), most))
}
