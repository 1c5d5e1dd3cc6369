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
	share *share // what it is charged to; nil: it is a page of its own, see takePage
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
// charged to the memory of h's client; nil if there is no room for it.
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

// takePage returns a chunk of the smallest class that is charged to nobody. Each
// request may have two of them, so that a small one is served whatever others
// hold: they are bounded by the number of requests, as what net/http spends on
// each is.
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

// giveChunk takes c back. The caller must have dropped every reference to it.
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
