package spool

import "sync"

// smallestChunk holds most responses of an application that renders pages, and
// is a page of memory. Each class is four times the one before, so that a large
// body is copied at most three times on its way to the default 256 KiB.
const smallestChunk = 4 << 10

// chunk is a piece of memory that bodies hand on to each other.
type chunk struct {
	data  []byte
	class int
}

type chunkClass struct {
	size int
	pool *sync.Pool
}

// chunkClasses returns the sizes of chunk there are, ascending; the last is
// largest.
func chunkClasses(largest int) []chunkClass {
	var classes []chunkClass
	for size := smallestChunk; size < largest; size *= 4 {
		classes = append(classes, chunkClass{size, new(sync.Pool)})
	}
	return append(classes, chunkClass{largest, new(sync.Pool)})
}

// takeChunk returns a chunk of at least want bytes, or of the largest class,
// charged to the memory budget; nil if that has no room for it.
func (s *Store) takeChunk(want int) *chunk {
	i := 0
	for i < len(s.classes)-1 && s.classes[i].size < want {
		i++
	}
	if !s.reserveMemory(s.classes[i].size) {
		return nil
	}
	if c, ok := s.classes[i].pool.Get().(*chunk); ok {
		return c
	}
	return &chunk{make([]byte, s.classes[i].size), i}
}

// giveChunk takes c back. The caller must have dropped every reference to it.
func (s *Store) giveChunk(c *chunk) {
	s.classes[c.class].pool.Put(c)
	s.release(Stats{Memory: int64(len(c.data))})
}
