package pool

import "errors"

// Memory is a budget of memory, in bytes.
type Memory interface {
	Reserve(n int) bool // reports whether there was room for it; if not, nothing is reserved
	Release(n int)
}

// ErrNoMemory means that a request found no room among those that wait to be sent on a
// shared connection: the application does not read them, and there is no memory for more.
var ErrNoMemory = errors.New("pool: no memory for a request on a shared connection; the application does not read those before it")

// unbounded is the budget of who has none.
type unbounded struct{}

func (unbounded) Reserve(int) bool { return true }
func (unbounded) Release(int)      {}

// memory is the budget for a new shared connection.
func (p *Pool) memory() Memory {
	if f := p.config().Memory; f != nil {
		return f()
	}
	return unbounded{}
}

const (
	// chunkMin is the size of a chunk that is not charged: each stream may have it, so that
	// its answer comes through, however slowly, when there is no memory left.
	chunkMin = 2 << 10
	// chunkKeep is the size of the largest chunk that is kept for the next stream.
	chunkKeep = 16 << 10
	// headroom is where in a chunk what has come begins. What is left of the chunk before
	// it, less than a header or an END_REQUEST, goes in front.
	headroom = 16
)

// chunk is memory for what has come. A connection keeps chunks for the next stream,
// so one that waits for its answer holds none.
type chunk struct {
	b       []byte // after headroom
	charged int
}

// len is how much has come.
func (c *chunk) len() int { return len(c.b) - headroom }

func (m *mux) newChunk() *chunk {
	if c, ok := m.chunks.Get().(*chunk); ok {
		if m.charge(c, cap(c.b)) {
			return c
		}
		m.chunks.Put(c)
	}
	return &chunk{b: make([]byte, headroom, chunkMin)}
}

// charge charges a chunk for so many bytes, and reports whether there was room.
func (m *mux) charge(c *chunk, size int) bool {
	more := size - chunkMin - c.charged
	if more > 0 && !m.memory.Reserve(more) {
		return false
	}
	c.charged += max(0, more)
	return true
}

// add appends to a chunk as much as it may hold, up to a size of most.
func (m *mux) add(c *chunk, b []byte, most int) (n int) {
	most += headroom
	if want := min(len(c.b)+len(b), most); want > cap(c.b) {
		if size := min(max(2*cap(c.b), want), most); m.charge(c, size) {
			grown := make([]byte, len(c.b), size)
			copy(grown, c.b)
			c.b = grown
		}
	}
	n = max(0, min(len(b), cap(c.b)-len(c.b), most-len(c.b)))
	c.b = append(c.b, b[:n]...)
	return n
}

// free takes a chunk back, unless it has grown.
func (m *mux) free(c *chunk) {
	if c == nil {
		return
	}
	if c.charged > 0 {
		m.memory.Release(c.charged)
		c.charged = 0
	}
	if cap(c.b) <= chunkKeep {
		c.b = c.b[:headroom]
		m.chunks.Put(c)
	}
}

// outMin is how much of requests may wait to be sent on a connection without being
// charged.
const outMin = 64 << 10

// chargeOut charges what waits to be sent: n bytes more, or, if n is negative, less. It
// reports whether there was room. The caller holds the mutex.
func (m *mux) chargeOut(n int) bool {
	want := max(0, m.waiting+n-outMin)
	if more := want - m.charged; more > 0 && !m.memory.Reserve(more) {
		return false
	} else if more < 0 {
		m.memory.Release(-more)
	}
	m.waiting, m.charged = m.waiting+n, want
	return true
}
