package pool

import (
	"encoding/binary"
	"errors"

	"github.com/sluice-proxy/sluice/bridge/upstream"
)

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
	// eventHeaderLen is the size of an event's header in a chunk: its kind, and the length of
	// its data, which follows.
	eventHeaderLen = 4
)

// chunk is memory for events that have come. A connection keeps chunks for the next
// stream, so one that waits for its answer holds none.
type chunk struct {
	b       []byte
	charged int
}

// event returns the event at an offset, without its ID and Err, and the offset of the next
// one.
func (c *chunk) event(at int) (upstream.Event, int) {
	header := binary.BigEndian.Uint32(c.b[at:])
	at += eventHeaderLen
	end := at + int(header&0xffffff)
	return upstream.Event{Kind: upstream.Kind(header >> 24), Data: c.b[at:end:end]}, end
}

func (m *mux) newChunk() *chunk {
	if c, ok := m.chunks.Get().(*chunk); ok {
		if m.charge(c, cap(c.b)) {
			return c
		}
		m.chunks.Put(c)
	}
	return &chunk{b: make([]byte, 0, chunkMin)}
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

// add appends an event to a chunk that may grow to a size of most, or the event with the
// first n bytes of its data. It reports whether these are all.
func (m *mux) add(c *chunk, k upstream.Kind, data []byte, most int) (n int, whole bool) {
	n = min(len(data), m.room(c, eventHeaderLen+len(data), most)-eventHeaderLen)
	if n < min(1, len(data)) {
		return 0, false
	}
	c.b = binary.BigEndian.AppendUint32(c.b, uint32(k)<<24|uint32(n))
	c.b = append(c.b, data[:n]...)
	return n, n == len(data)
}

// room grows a chunk for n bytes more, if it may, and returns how much it can hold.
func (m *mux) room(c *chunk, n, most int) int {
	if want := min(len(c.b)+n, most); want > cap(c.b) {
		if size := min(max(2*cap(c.b), want), most); m.charge(c, size) {
			grown := make([]byte, len(c.b), size)
			copy(grown, c.b)
			c.b = grown
		}
	}
	return min(cap(c.b), most) - len(c.b)
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
		c.b = c.b[:0]
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
