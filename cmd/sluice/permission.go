package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// Modes of access(2), which package syscall does not name.
const (
	mayWrite  = 2
	maySearch = 1
)

// forbidden reports whether this user may not do with a file what mode says. A file that is not there is
// not forbidden.
func forbidden(path string, mode uint32) bool {
	return errors.Is(syscall.Access(path, mode), syscall.EACCES)
}

// checkAccessLog refuses a directory, and a file that this user may not write, which serving would find out.
// Systemd makes the directory if it is not there (LogsDirectory=).
func (s *setup) checkAccessLog() error {
	path := s.Server.AccessLog
	if path == "off" || path == "-" {
		return nil
	}
	denied := forbidden(path, mayWrite)
	switch info, err := os.Stat(path); {
	case err == nil && info.IsDir():
		return fmt.Errorf("access_log: %s: is a directory: name the file in it", path)
	case errors.Is(err, fs.ErrNotExist):
		denied = forbidden(filepath.Dir(path), mayWrite|maySearch)
	}
	if !denied {
		return nil
	}
	return fmt.Errorf("access_log: %s: permission denied (let the user that Sluice runs as write there)", path)
}

// checkOwners refuses owners of sockets that this machine does not know.
func (s *setup) checkOwners() error {
	list, err := s.opened()
	if err != nil {
		return err
	}
	for _, e := range list {
		if _, _, err := e.ids(); hasFile(e.addr) && err != nil {
			return e.errorf("%w", err)
		}
	}
	return nil
}

// checkSockets returns a note for each socket that is there and that this user may not connect to.
func (s *setup) checkSockets() (notes []error) {
	for i, a := range s.Applications {
		for _, backend := range a.Backends {
			if err := checkSocket("backends", backend); err != nil {
				notes = append(notes, s.ApplicationError(i, err))
			}
		}
		if a.Authorizer != nil {
			backend, _ := a.Authorizer.Backend()
			if err := checkSocket("authorizer.address", backend); err != nil {
				notes = append(notes, s.ApplicationError(i, err))
			}
		}
	}
	return notes
}

func checkSocket(key, backend string) error {
	network, path, err := config.ParseAddress(backend)
	if err != nil || network != "unix" || !forbidden(path, mayWrite) {
		return nil
	}
	return fmt.Errorf("%s: %s: permission denied: requests will be answered with 502 (let the user that Sluice runs as write to the socket, by its group for example)", key, backend)
}
