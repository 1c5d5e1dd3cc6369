package spool

import "sync"

// minChunk is a page of memory, and enough for most rendered pages. Each class is four times as large as
// the previous one, so that a body is copied at most three times up to the default of 256 KiB.
const minChunk = 4 << 10

// chunk is a piece of memory that bodies reuse.
type chunk struct {
	data  []byte
	class int
	share *share // the share it is charged to; nil for a page, see takePage
}

type chunkClass struct {
	size int
	pool *sync.Pool
}

// chunkClasses returns the classes of chunks in ascending order, up to largest.
func chunkClasses(largest int) []chunkClass {
	var classes []chunkClass
	for size := minChunk; size < largest; size *= 4 {
		classes = append(classes, chunkClass{size, new(sync.Pool)})
	}
	return append(classes, chunkClass{largest, new(sync.Pool)})
}

// takeChunk returns a chunk of at least want bytes, or of the largest class, charged to the memory of h's
// client; nil if there is no room.
func (s *Store) takeChunk(h *holding, want int) *chunk {
	i := 0
	for i < len(s.classes)-1 && s.classes[i].size < want {
		i++
	}
	sh := s.reserveMemory(h, int64(s.classes[i].size))
	if sh == nil {
		return nil
	}
	c := s.newChunk(i)
	c.share = sh
	return c
}

// takePage returns a chunk of the smallest class that is not charged. Each request may have two of them,
// so that a small request is served even if other clients hold all memory. Like the memory of net/http,
// they are bounded by the number of requests.
func (s *Store) takePage() *chunk {
	c := s.newChunk(0)
	s.count(Stats{Small: int64(len(c.data))})
	return c
}

func (s *Store) newChunk(class int) *chunk {
	if c, ok := s.classes[class].pool.Get().(*chunk); ok {
		return c
	}
	return &chunk{data: make([]byte, s.classes[class].size), class: class}
}

// giveChunk takes c back. No reference to it may be left.
func (s *Store) giveChunk(c *chunk) {
	sh := c.share
	c.share = nil
	n := int64(len(c.data))
	s.classes[c.class].pool.Put(c)
	if sh == nil {
		s.count(Stats{Small: -n})
	} else {
		s.releaseMemory(sh, n)
	}
}
