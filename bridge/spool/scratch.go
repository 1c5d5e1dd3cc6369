package spool

// Scratch is memory that a body passes through on its way from or to a client. Many
// clients may be slow at once, so it is a page at first, beside the budgets, and becomes
// larger only within them.
type Scratch struct {
	holding *holding
	chunk   *chunk
}

func (h *holding) newScratch() Scratch { return Scratch{h, h.store.takePage()} }

// Scratch returns memory to read from the pipe into. The caller must Free it, be it
// after Close.
func (p *Pipe) Scratch() Scratch { return p.newScratch() }

// Bytes returns the memory.
func (s *Scratch) Bytes() []byte { return s.chunk.data }

// Grow changes to the next larger size if that is not beyond most bytes, and there is
// room. What was in the memory is lost.
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

// Free gives the memory back.
func (s *Scratch) Free() {
	s.holding.store.giveChunk(s.chunk)
	s.chunk = nil
}
