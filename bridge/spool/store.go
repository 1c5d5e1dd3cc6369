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
	// ErrDiskFull reports that the disk budget is used up, or that there are as many files as there may
	// be. A full file system is ErrDisk.
	ErrDiskFull = errors.New("spool: disk budget is used up")
	// ErrCut reports that the body was cut because other bodies need its room.
	ErrCut = errors.New("spool: given up for others, who need the room")
	// ErrClosed reports use after Close, or a Write after CloseWrite.
	ErrClosed = errors.New("spool: already closed")
)

// Stats is the state of a Store at one moment.
type Stats struct {
	Buffers   int    `json:"buffers"`              // Buffers and Pipes not closed yet
	Files     int    `json:"files"`                // temporary files open
	Small     int64  `json:"small"`                // bytes of memory outside the budget: one or two pages for each body
	Memory    int64  `json:"memory"`               // bytes of memory held within the budget
	Disk      int64  `json:"disk"`                 // bytes of disk held
	DiskLimit int64  `json:"disk_limit"`           // bytes of disk that may be held: as configured, or as the file system permits
	Refused   uint64 `json:"refused"`              // Buffers and impatient Pipes without room, ever
	Cut       uint64 `json:"cut"`                  // Buffers and Pipes cut, ever
	DiskError string `json:"disk_error,omitempty"` // why nothing can be written to disk; empty if it can
}

// Store creates Buffers and Pipes, and has the budgets that they share. It is safe for concurrent use.
type Store struct {
	config   Config
	classes  []chunkClass
	files    *fileLimit   // nil: Config.Files is given, and no other limit
	failing  atomic.Bool  // there is a fault
	measured atomic.Int64 // when disk.size was adapted, in Unix nanoseconds

	// mu may be taken while a body's lock is held; under mu, only the lock of a pace is taken. The
	// budgets' and shares' use is the sum of the open bodies' claims and of Reserve.
	mu       sync.Mutex
	inUse    Stats // without Memory and DiskLimit
	memory   budget
	disk     budget
	wanted   int64 // the sum of all claims' wanted
	shares   map[shareKey]*share
	unused   *share // the share that holds nothing; nil if there is none
	fault    fault
	cuts     cutLog
	refusals refusals
	freed    chan struct{} // closed when memory or disk is released; nil if no Write waits
}

// New returns a Store. The configuration must be valid, and files must be possible in its directory.
func New(c Config) (*Store, error) {
	var files *fileLimit
	if c.Files == 0 {
		files = ofProcess()
	}
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{
		files:  files,
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

// Stats returns the present state.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.inUse
	stats.Memory, stats.DiskLimit = s.memory.used, s.disk.size
	return stats
}

// count adds to the numbers in use.
func (s *Store) count(n Stats) {
	s.mu.Lock()
	s.inUse.Buffers += n.Buffers
	s.inUse.Files += n.Files
	s.inUse.Small += n.Small
	s.mu.Unlock()
}

// Reserve charges n bytes of memory that the caller holds for several clients, and reports whether there
// was room. Release releases them.
func (s *Store) Reserve(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.memory.available(answer, 0) < int64(n) {
		return false
	}
	s.memory.add(answer, int64(n))
	return true
}

// Release undoes Reserve.
func (s *Store) Release(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.memory.add(answer, -int64(n))
	s.wake()
}

// wake wakes the Writes that wait for room. mu is held.
func (s *Store) wake() {
	if s.freed != nil {
		close(s.freed)
		s.freed = nil
	}
}

// whenFreed returns a channel that is closed when memory or disk is released. It wakes all waiting
// Writes, because only a try shows which of them has room.
func (s *Store) whenFreed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.freed == nil {
		s.freed = make(chan struct{})
	}
	return s.freed
}
