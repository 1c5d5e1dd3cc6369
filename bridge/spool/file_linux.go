package spool

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// unnamedFile creates a file that never has a name, so that not even a killed process leaves one
// behind.
func (s *Store) unnamedFile() (*os.File, error) {
	f, err := os.OpenFile(s.config.Dir, os.O_RDWR|unix.O_TMPFILE, 0o600)
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EISDIR), errors.Is(err, unix.EINVAL):
		return s.namedFile() // this file system, such as NFS, or kernel does not support it
	}
	return nil, s.fileError("create", err)
}
