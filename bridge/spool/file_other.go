//go:build !linux

package spool

import "os"

func (s *Store) unnamedFile() (*os.File, error) { return s.namedFile() }
