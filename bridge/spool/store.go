package spool

import (
	"errors"
	"fmt"
	"sync"
)

var (
	// ErrTooLarge reports that a Buffer's limit is exceeded.
	ErrTooLarge = errors.New("spool: body is larger than its limit")
	// ErrDiskFull reports that the disk budget is used up. A file system that is
	// full is the operating system's error, syscall.ENOSPC, instead.
	ErrDiskFull = errors.New("spool: disk budget is used up")
	// ErrClosed reports use after Close, or a Write after CloseWrite.
	ErrClosed = errors.New("spool: already closed")
)

// Stats is what a Store holds at one moment.
type Stats struct {
	Buffers int   `json:"buffers"` // Buffers and Pipes not closed yet
	Files   int   `json:"files"`   // temporary files open
	Memory  int64 `json:"memory"`  // bytes of memory held by them
	Disk    int64 `json:"disk"`    // bytes of disk held by them
}

// Store is where bodies go, and the budget they share. It is safe for
// concurrent use.
type Store struct {
	config  Config
	classes []chunkClass

	// mu is a leaf: it is taken with a body's lock held, and nothing is called
	// under it. inUse is the sum of what the open bodies hold.
	mu    sync.Mutex
	inUse Stats
	freed chan struct{} // closed when memory or disk is given back; nil while nobody waits
}

// New returns a Store. It fails if the configuration is invalid or no file can
// be created in its directory.
func New(c Config) (*Store, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{config: c, classes: chunkClasses(c.Buffer)}
	f, err := s.createFile()
	if err != nil {
		return nil, fmt.Errorf("%w (Dir must be a directory that can be written to)", err)
	}
	if err := s.closeFile(f); err != nil {
		return nil, err
	}
	return s, nil
}

// Stats returns what is in use now.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inUse
}

func (s *Store) opened() {
	s.mu.Lock()
	s.inUse.Buffers++
	s.mu.Unlock()
}

// reserveMemory charges n bytes, or nothing.
func (s *Store) reserveMemory(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inUse.Memory+int64(n) > s.config.Memory {
		return false
	}
	s.inUse.Memory += int64(n)
	return true
}

// Reserve charges n bytes of memory that somebody else holds, and reports whether there
// was room for them. Release gives them back.
func (s *Store) Reserve(n int) bool { return s.reserveMemory(n) }

// Release gives back what Reserve charged.
func (s *Store) Release(n int) { s.release(Stats{Memory: int64(n)}) }

// reserveDisk charges between least and most bytes and returns how many; 0 if
// there is no room for the least.
func (s *Store) reserveDisk(least, most int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(most, s.config.Disk-s.inUse.Disk)
	if n < least {
		return 0
	}
	s.inUse.Disk += n
	return n
}

// release gives back what a body no longer holds.
func (s *Store) release(held Stats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inUse.Buffers -= held.Buffers
	s.inUse.Files -= held.Files
	s.inUse.Memory -= held.Memory
	s.inUse.Disk -= held.Disk
	if s.freed != nil && (held.Memory > 0 || held.Disk > 0) {
		close(s.freed)
		s.freed = nil
	}
}

// whenFreed returns a channel that is closed the next time memory or disk is
// given back. It wakes everybody who waits: who fits is known only when tried.
func (s *Store) whenFreed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.freed == nil {
		s.freed = make(chan struct{})
	}
	return s.freed
}

func (s *Store) diskFull() error {
	return fmt.Errorf("%w: the temporary files in %s may hold %d bytes together", ErrDiskFull, s.config.Dir, s.config.Disk)
}
