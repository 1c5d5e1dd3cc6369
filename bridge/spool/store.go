package spool

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

var (
	// ErrTooLarge reports that a Buffer's limit is exceeded.
	ErrTooLarge = errors.New("spool: body is larger than its limit")
	// ErrDiskFull reports that the disk budget is used up. A file system that is
	// full is ErrDisk instead.
	ErrDiskFull = errors.New("spool: disk budget is used up")
	// ErrCut reports that the body was given up because others need its room.
	ErrCut = errors.New("spool: given up for others, who need the room")
	// ErrClosed reports use after Close, or a Write after CloseWrite.
	ErrClosed = errors.New("spool: already closed")
)

// Stats is what a Store holds at one moment.
type Stats struct {
	Buffers   int    `json:"buffers"`              // Buffers and Pipes not closed yet
	Files     int    `json:"files"`                // temporary files open
	Small     int64  `json:"small"`                // bytes of memory that are beside the budget: a page or two for each
	Memory    int64  `json:"memory"`               // bytes of memory held beside those
	Disk      int64  `json:"disk"`                 // bytes of disk held
	DiskLimit int64  `json:"disk_limit"`           // bytes of disk there may be held: as configured, or what the file system has room for
	Refused   uint64 `json:"refused"`              // Buffers and impatient Pipes that there was no room for, ever
	Cut       uint64 `json:"cut"`                  // Buffers and Pipes given up for others, ever
	DiskError string `json:"disk_error,omitempty"` // why nothing can be written to disk; empty if it can
}

// Store is where bodies go, and the budgets they share. It is safe for
// concurrent use.
type Store struct {
	config   Config
	classes  []chunkClass
	failing  atomic.Bool  // there is a fault
	measured atomic.Int64 // when disk.size was adapted, in Unix nanoseconds

	// mu is a leaf but for the mu of a pace: it is taken with a body's lock held, and
	// nothing is called under it. What the budgets and shares say is used is the sum
	// of the open bodies' claims.
	mu       sync.Mutex
	inUse    Stats // all but Memory
	memory   budget
	disk     budget
	wanted   int64 // bytes of disk that are being freed, each for somebody
	shares   map[shareKey]*share
	unused   *share // the one of them, if there is one, that holds nothing
	fault    fault
	cuts     cutLog
	refusals refusals
	freed    chan struct{} // closed when memory or disk is given back; nil while nobody waits
}

// New returns a Store. It fails if the configuration is invalid or no file can
// be created in its directory.
func New(c Config) (*Store, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{
		config: c, classes: chunkClasses(c.Buffer),
		memory: budget{size: c.Memory}, disk: budget{size: c.Disk}, shares: make(map[shareKey]*share),
	}
	f, err := s.createFile()
	if err != nil {
		return nil, fmt.Errorf("%w (Dir must be a directory that can be written to)", err)
	}
	if err := s.closeFile(f); err != nil {
		return nil, err
	}
	s.measure()
	s.compareSpace()
	return s, nil
}

// Stats returns what is in use now.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.inUse
	stats.Memory, stats.DiskLimit = s.memory.used, s.disk.size
	return stats
}

// count adds to what is in use.
func (s *Store) count(n Stats) {
	s.mu.Lock()
	s.inUse.Buffers += n.Buffers
	s.inUse.Files += n.Files
	s.inUse.Small += n.Small
	s.mu.Unlock()
}

// wake tells those who wait that something was given back. It is called with mu
// held.
func (s *Store) wake() {
	if s.freed != nil {
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
