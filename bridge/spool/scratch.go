package spool

// Scratch is a buffer for reading from or writing to a client. Many clients may be slow at once, so it is
// first a page, which is not charged, and becomes larger only within the budgets.
type Scratch struct {
	holding *holding
	chunk   *chunk
}

func (h *holding) newScratch() Scratch { return Scratch{h, h.store.takePage()} }

// Scratch returns a buffer for reading from the pipe. The caller must Free it, before or after Close.
func (p *Pipe) Scratch() Scratch { return p.newScratch() }

// Bytes returns the memory.
func (s *Scratch) Bytes() []byte { return s.chunk.data }

// Grow changes to the next larger size, up to most bytes, if there is room. The content is lost.
func (s *Scratch) Grow(most int) {
	store := s.holding.store
	if len(s.chunk.data) >= min(most, store.config.Buffer) {
		return
	}
	if c := store.takeChunk(s.holding, len(s.chunk.data)+1); c != nil {
		store.giveChunk(s.chunk)
		s.chunk = c
	}
}

// Free releases the memory.
func (s *Scratch) Free() {
	s.holding.store.giveChunk(s.chunk)
	s.chunk = nil
}
