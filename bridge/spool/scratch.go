package spool

// scratch is the memory that a ReadFrom reads into. Many may wait for slow
// clients at once, so it starts small and uses more only within the budget.
type scratch struct {
	store *Store
	chunk *chunk // nil if the budget is used up
	data  []byte
}

func newScratch(s *Store) scratch {
	if c := s.takeChunk(1); c != nil {
		return scratch{s, c, c.data}
	}
	// Going on without any memory is impossible. This much, beyond the budget, is
	// what net/http spends on reading any request.
	return scratch{s, nil, make([]byte, smallestChunk)}
}

// grow changes to the next larger chunk, if there is one to be had.
func (s *scratch) grow() {
	if len(s.data) >= s.store.config.Buffer {
		return
	}
	c := s.store.takeChunk(len(s.data) + 1)
	if c == nil {
		return
	}
	s.free()
	s.chunk, s.data = c, c.data
}

func (s *scratch) free() {
	if s.chunk != nil {
		s.store.giveChunk(s.chunk)
	}
}
